"""Each repair against TRL's own class: what that does stands as an assertion beside what ours does."""

import dataclasses
import gc
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, TrainerCallback

from hftrain.alignment.ppo import PPOConfig, PPOTrainer, RepairedPPOTrainer
from hftrain.errors import ConfigError
from hftrain.training.callbacks import checkpoints_in

# TRL 1.12 reads a name that transformers 5.23 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

PROMPTS = [[5, 6, 7, 8], [9, 10, 11], [12, 13], [14, 15, 16, 17, 18], [19, 20, 21]]
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL collects garbage twice an update, which takes longer than an update of these models."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture
def make(tiny_model: Callable[..., tuple[Any, Any]], tmp_path: Path) -> Make:
    """Makes a trainer of either class over the same tiny random models."""

    def trainer(cls: type = RepairedPPOTrainer, *, favour: dict[int, float] | None = None, **given: Any) -> Any:
        own = {
            key: given.pop(key)
            for key in ("kl_budget", "kl_target", "kl_horizon", "function_reward", "callbacks")
            if key in given
        }
        policy, tokenizer = tiny_model(seed=1)
        reference, _ = tiny_model(seed=1)
        tokenizer.padding_side = "left"
        for model in (policy, reference):
            nudge(model, favour or {})
        defaults = {
            "output_dir": str(tmp_path / "scratch"),
            "per_device_train_batch_size": 4,
            "total_episodes": 12,
            "response_length": 6,
            "num_ppo_epochs": 2,
            "learning_rate": 1e-3,
            "num_sample_generations": 0,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "bf16": False,
            "activation_checkpointing": False,
            "use_cpu": True,
            "disable_tqdm": True,
            "seed": 3,
        }
        made = cls(
            args=PPOConfig(**{**defaults, **given}),
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=scalar_model(policy, 2),
            value_model=scalar_model(policy, 3),
            train_dataset=Dataset.from_dict({"input_ids": PROMPTS}),
            **own,
        )
        np.random.seed(4)
        return made

    return trainer


def scalar_model(policy: Any, seed: int) -> Any:
    """A classifier of the policy's shape with one label and random weights."""
    torch.manual_seed(seed)
    config = type(policy.config)(**policy.config.to_diff_dict())
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config)
    torch.nn.init.normal_(model.score.weight)
    return model


def nudge(model: Any, favour: dict[int, float]) -> None:
    """Raise the logits of some tokens, so that the random model writes them."""
    bias = torch.zeros(model.config.vocab_size)
    for token, by in favour.items():
        bias[token] = by
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: output + bias)


@pytest.fixture
def make_reading(make: Make) -> Make:
    """Makes a trainer of either class that reads the batches ours reads: their order is no part of what is compared."""

    def trainer(cls: type, **given: Any) -> Any:
        ours = make(**given)
        batches = [{"input_ids": ours.prompts(step)} for step in range(1, 4)]
        made = make(cls, **given)
        made.dataloader = batches
        return made

    return trainer


def norms_at_each_step(trainer: Any) -> list[float]:
    """Fills with the norm of the gradient at each real optimizer step."""
    norms: list[float] = []

    def note(*_: Any) -> None:
        gradients = [each.grad.norm() for each in trainer.model.parameters() if each.grad is not None]
        norms.append(torch.stack(gradients).norm().item())

    trainer.optimizer.optimizer.register_step_pre_hook(note)
    return norms


def read_by_the_reward_model(trainer: Any) -> list[list[int]]:
    """Fills with the rows that the reward model reads, without what is masked or padding."""
    seen: list[list[int]] = []
    pad = trainer.processing_class.pad_token_id

    def note(_module: Any, _args: Any, named: dict[str, Any]) -> None:
        ids = named["input_ids"]
        counts = named.get("attention_mask", ids != pad)
        seen.extend(row[mask].tolist() for row, mask in zip(ids, counts.bool(), strict=True))

    trainer.reward_model.model.register_forward_pre_hook(note, with_kwargs=True)
    return seen


def answers_read(trainer: Any, seen: list[list[int]]) -> list[list[int]]:
    """What stands behind the prompts of the first update in what was read."""
    pad = trainer.processing_class.pad_token_id
    prompts = [[token for token in row if token != pad] for row in trainer.dataloader[0]["input_ids"].tolist()]
    return [row[len(prompt) :] for prompt in prompts for row in seen if row[: len(prompt)] == prompt]


def hand_over_answers(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have TRL's class read the answers that ours writes: the two draw from the random stream in different ways."""
    upstream = sys.modules[PPOTrainer.__module__]
    written: list[tuple[torch.Tensor, int]] = []
    real = ours.roll_out

    def note(step: int) -> Any:
        rollout = real(step)
        written.append((rollout.tokens, rollout.prompt_tokens))
        return rollout

    def given(policy: Any, queries: torch.Tensor, _rows: int, pad: int, how: Any) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, width = written.pop(0)
        assert torch.equal(tokens[:, :width], queries)
        return tokens, upstream.forward(policy, tokens, pad).logits[:, width - 1 : -1] / how.temperature

    monkeypatch.setattr(ours, "roll_out", note)
    monkeypatch.setattr(upstream, "batch_generation", given)


# With nothing for a repair to do, the numbers are TRL's.


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"whiten_rewards": True, "per_device_train_batch_size": 8, "total_episodes": 24, "kl_coef": 0.3},
        {"num_mini_batches": 2, "kl_estimator": "k3", "missing_eos_penalty": 1.0, "vf_coef": 0.7, "lam": 0.9},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2, "local_rollout_forward_batch_size": 3},
    ],
)
def test_the_first_updates_are_those_of_trl(
    make_reading: Make, given: dict[str, Any], tokenizer_ids: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read the same answers: TRL draws them in another way."""
    pad, end = tokenizer_ids
    given |= {"max_grad_norm": 1e9, "stop_token": "eos", "learning_rate": 1e-2, "favour": {end: 3.0, pad: -20.0}}
    ours = make_reading(RepairedPPOTrainer, **given)
    hand_over_answers(ours, monkeypatch)
    ours.train()
    theirs = make_reading(PPOTrainer, **given)
    theirs.train()

    names = {
        "value_clip_share": "val/clipfrac_avg",
        "policy_loss": "loss/policy_avg",
        "value_loss": "loss/value_avg",
        "clip_share": "policy/clipfrac_avg",
        "learning_rate": "lr",
    }
    names |= {"kl": "objective/kl"} if ours.args.kl_estimator == "k1" else {}
    names |= {} if ours.args.missing_eos_penalty else {"reward": "objective/scores"}  # TRL tells it less the penalty
    assert len(ours.state.log_history) == len(theirs.state.log_history) == 3
    for mine, yours in zip(ours.state.log_history, theirs.state.log_history, strict=True):
        assert {name: mine[name] for name in names} == pytest.approx(
            {name: yours[other] for name, other in names.items()}, abs=1e-5, rel=1e-5
        )
    assert max(row["clip_share"] for row in ours.state.log_history) > 0
    assert any(0 < row["ended_share"] < 1 for row in ours.state.log_history)


# Repair: clipping.


@pytest.mark.parametrize(("cls", "clips"), [(PPOTrainer, False), (RepairedPPOTrainer, True)])
def test_gradients_are_clipped_to_max_grad_norm(make_reading: Make, cls: type, clips: bool) -> None:
    trainer = make_reading(cls, max_grad_norm=0.01, stop_token="eos", total_episodes=4)
    norms = norms_at_each_step(trainer)
    trainer.train()
    assert (max(norms) <= 0.0101) is clips


def test_the_norm_before_clipping_is_logged(make: Make) -> None:
    trainer = make(max_grad_norm=1e-4, total_episodes=4)
    trainer.train()
    assert trainer.state.log_history[0]["grad_norm"] > 1e-2


# Repair: mini-batches under accumulation.


@pytest.mark.parametrize(("cls", "steps"), [(PPOTrainer, 2), (RepairedPPOTrainer, 4)])
def test_each_mini_batch_is_a_step_under_accumulation_too(make_reading: Make, cls: type, steps: int) -> None:
    """8 answers as 4 micro-batches of 2, in 2 mini-batches, over 2 epochs: 4 optimizer steps."""
    given = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "num_mini_batches": 2}
    trainer = make_reading(cls, **given, stop_token="eos", total_episodes=8)
    norms = norms_at_each_step(trainer)
    trainer.train()
    assert len(norms) == steps


def test_accumulation_leaves_the_gradient_of_a_mini_batch_as_it_was(make: Make, tokenizer_ids: tuple[int, int]) -> None:
    """All answers fill their 6 places, so the mean over two halves is the mean over the whole."""
    trained = []
    for given in (
        {"per_device_train_batch_size": 4},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    ):
        trainer = make(favour={tokenizer_ids[1]: -20.0}, **given)
        trainer.train()
        trained.append(trainer.policy)
    for one, other in zip(*(policy.parameters() for policy in trained), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


# Repair: an answer stops at its end.


@pytest.mark.parametrize(("cls", "stops"), [(PPOTrainer, False), (RepairedPPOTrainer, True)])
def test_nothing_after_the_end_token_is_scored(
    make_reading: Make, cls: type, stops: bool, tokenizer_ids: tuple[int, int]
) -> None:
    _, end = tokenizer_ids
    trainer = make_reading(cls, favour={end: 5.0}, total_episodes=4)
    seen = read_by_the_reward_model(trainer)
    trainer.train()
    answers = answers_read(trainer, seen)
    assert len(answers) == 4
    assert any(end in answer[:-1] for answer in answers) is not stops


def test_a_batch_whose_answers_have_all_ended_is_not_written_on(
    make_reading: Make, tokenizer_ids: tuple[int, int]
) -> None:
    trainer = make_reading(RepairedPPOTrainer, favour={tokenizer_ids[1]: 50.0}, total_episodes=4)
    seen = read_by_the_reward_model(trainer)
    trainer.train()
    assert answers_read(trainer, seen) == [[tokenizer_ids[1]]] * 4
    assert trainer.state.log_history[0]["answer_tokens"] == 1
    assert trainer.state.log_history[0]["ended_share"] == 1


@pytest.mark.parametrize(("cls", "never"), [(PPOTrainer, False), (RepairedPPOTrainer, True)])
def test_padding_is_never_a_word_of_an_answer(
    make_reading: Make, cls: type, never: bool, tokenizer_ids: tuple[int, int]
) -> None:
    pad, end = tokenizer_ids
    trainer = make_reading(cls, favour={pad: 4.0, end: -20.0}, stop_token="eos", total_episodes=4)
    seen = read_by_the_reward_model(trainer)
    trainer.train()
    assert (min(len(answer) for answer in answers_read(trainer, seen)) == 6) is never


# Repair: saving.


@pytest.fixture
def one_process_group(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone: enough for DistributedDataParallel to wrap a model."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process_group")
def test_the_policy_is_saved_out_of_what_distributes_it(make: Make, tmp_path: Path) -> None:
    plain = make(PPOTrainer)
    plain.model = DistributedDataParallel(plain.model)
    with pytest.raises((AttributeError, RuntimeError)):
        plain.save_model(str(tmp_path / "plain"))
        AutoModelForCausalLM.from_pretrained(tmp_path / "plain")

    ours = make()
    ours.model = DistributedDataParallel(ours.model)
    ours.save_model(str(tmp_path / "ours"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert same_weights(loaded, ours.policy)


@pytest.mark.parametrize(("cls", "saved"), [(PPOTrainer, False), (RepairedPPOTrainer, True)])
def test_a_checkpoint_holds_the_critic(make_reading: Make, cls: type, saved: bool, tmp_path: Path) -> None:
    from safetensors import safe_open

    trainer = make_reading(cls, stop_token="eos", total_episodes=4, save_strategy="steps")
    trainer.train()
    names: set[str] = set()
    for path in (tmp_path / "scratch" / "checkpoint-1").rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names |= set(file.keys())
    assert ("score.weight" in names) is saved
    assert any(name.endswith("embed_tokens.weight") for name in names)


# Repair: going on after a kill.


class Cut(Exception):
    """Stands for a kill."""


def cut_in_optimizer_step(number: int) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def arm(trainer: Any, _: pytest.MonkeyPatch) -> None:
        done = 0

        def count(*_: Any) -> None:
            nonlocal done
            done += 1
            if done == number:
                raise Cut

        trainer.optimizer.optimizer.register_step_pre_hook(count)

    return arm


def cut_while_writing_checkpoint(number: int, what: str) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def arm(_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from hftrain.alignment import ppo_state

        done = 0
        real = getattr(ppo_state, what)

        def half(*given: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == number:
                raise Cut
            return real(*given, **named)

        monkeypatch.setattr(ppo_state, what, half)

    return arm


@pytest.mark.parametrize(
    "arm",
    [
        pytest.param(cut_in_optimizer_step(3), id="in the second update, before any checkpoint"),
        pytest.param(cut_in_optimizer_step(6), id="in the third update"),
        pytest.param(cut_in_optimizer_step(11), id="in the sixth update"),
        pytest.param(cut_while_writing_checkpoint(2, "save_file"), id="while a checkpoint is half written"),
        pytest.param(cut_while_writing_checkpoint(2, "write_json"), id="before a checkpoint is whole"),
    ],
)
def test_a_cut_run_ends_like_one_that_was_not(
    make: Make, arm: Callable[[Any, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 prompts in batches of 4 and a checkpoint every 2 updates: cuts fall inside passes over the prompts."""
    given = {"total_episodes": 24, "save_strategy": "steps", "save_steps": 2, "kl_budget": 1e9}
    whole = make(**given, output_dir=str(tmp_path / "whole"))
    whole.train()

    cut = make(**given)
    with monkeypatch.context() as patch:
        arm(cut, patch)
        with pytest.raises(Cut):
            cut.train()
    again = make(**given)
    newest = checkpoints_in(tmp_path / "scratch")[-1:]
    np.random.seed(99)
    again.train(resume_from_checkpoint=str(newest[0]) if newest else None) if newest else rerun(again)

    assert same_weights(again.policy, whole.policy)
    assert same_weights(again.critic, whole.critic)
    assert json.dumps(again.state.log_history, sort_keys=True) == json.dumps(whole.state.log_history, sort_keys=True)
    assert again.outcome() == whole.outcome()
    assert len(again.state.log_history) == 6


def rerun(trainer: Any) -> None:
    """Nothing was saved: begin as the uninterrupted run began."""
    np.random.seed(4)
    trainer.train()


def test_trl_cannot_go_on() -> None:
    assert "resume_from_checkpoint" not in inspect.signature(PPOTrainer.train).parameters


def test_two_checkpoints_are_kept(make: Make, tmp_path: Path) -> None:
    make(total_episodes=16, save_strategy="steps", save_steps=1).train()
    assert [path.name for path in checkpoints_in(tmp_path / "scratch")] == ["checkpoint-3", "checkpoint-4"]
    assert len(list((tmp_path / "scratch").iterdir())) == 2


# Repair: fewer prompts than a batch.


def test_prompts_are_repeated_to_fill_a_batch(make: Make) -> None:
    trainer = make(per_device_train_batch_size=8, total_episodes=8)
    trainer.train()
    assert trainer.outcome()["episodes"] == 8
    assert trainer.prompts(1).shape[0] == 8
    assert len(make(PPOTrainer, per_device_train_batch_size=8).dataloader) == 0  # and TRL asks it for ever


# Repair: lower precision.


@pytest.mark.parametrize(("cls", "used"), [(PPOTrainer, "no"), (RepairedPPOTrainer, "bf16")])
def test_bf16_is_used(make: Make, cls: type, used: str) -> None:
    assert make(cls, bf16=True).accelerator.mixed_precision == used


def test_an_update_in_bf16_is_near_the_one_in_fp32(make: Make) -> None:
    found = []
    for bf16 in (False, True):
        trainer = make(bf16=bf16, total_episodes=4)
        trainer.train()
        found.append(trainer.state.log_history[0])
    assert found[1]["entropy"] == pytest.approx(found[0]["entropy"], rel=0.02)
    assert found[1]["entropy"] != found[0]["entropy"]


# Bounded divergence.


class Snapshots(TrainerCallback):
    """Keeps the policy after each update, and the numbers it logged."""

    def __init__(self) -> None:
        self.policies: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        policy = kwargs["model"].policy
        self.policies.append({name: each.clone() for name, each in policy.state_dict().items()})


def test_a_policy_over_its_budget_gives_way_to_the_one_before(make: Make) -> None:
    taken = Snapshots()
    trainer = make(kl_budget=0.5, kl_coef=0.0, learning_rate=3e-3, total_episodes=400, callbacks=[taken])
    trainer.train()
    outcome = trainer.outcome()
    updates = outcome["updates"]
    assert outcome["stopped_by"] == "kl_budget"
    assert outcome["train_kl"] <= 0.5
    assert updates == len(taken.policies) - 1
    assert all(
        torch.equal(each, taken.policies[updates - 1][name]) for name, each in trainer.policy.state_dict().items()
    )
    assert max(row["kl"] for row in trainer.state.log_history) <= 0.5


def test_the_policy_of_the_last_update_is_measured_too(make: Make) -> None:
    given = {"kl_coef": 0.0, "learning_rate": 2e-2, "per_device_train_batch_size": 16, "total_episodes": 64}
    given |= {"lr_scheduler_type": "constant"}
    free = make(**given)
    free.train()
    bounded = make(**given, kl_budget=1e9)
    bounded.train()
    reached = [row["kl"] for row in free.state.log_history]
    assert bounded.outcome()["train_kl"] > max(reached)
    strict = make(**given, kl_budget=max(reached) + 1e-3)
    strict.train()
    assert strict.outcome()["stopped_by"] == "kl_budget"
    assert strict.outcome()["updates"] == 3


def test_a_cut_run_gives_way_to_the_same_policy(make: Make, tmp_path: Path) -> None:
    given = {"kl_budget": 0.5, "kl_coef": 0.0, "learning_rate": 3e-3, "total_episodes": 400}
    given |= {"save_strategy": "steps", "save_steps": 1}
    whole = make(**given)
    whole.train()
    again = make(**given)
    again.train(resume_from_checkpoint=str(checkpoints_in(tmp_path / "scratch")[-1]))
    assert same_weights(again.policy, whole.policy)
    assert again.outcome() == whole.outcome()


# The price of divergence.


def test_the_price_of_a_nat_rises_above_the_target_and_is_fixed_without_one(make: Make) -> None:
    """4 answers an update with a horizon of 40: at most 0.2 * 4/40 = 2 % an update."""
    given = {"kl_coef": 0.1, "learning_rate": 1e-2, "total_episodes": 16}
    adaptive = make(**given, kl_target=1e-6, kl_horizon=40)
    adaptive.train()
    rows = adaptive.state.log_history
    assert rows[0]["kl_coef"] == 0.1
    for row, following in zip(rows, rows[1:], strict=False):
        moved = following["kl_coef"] / row["kl_coef"] - 1
        assert moved == pytest.approx(0.02 if row["kl"] > 1e-6 else -0.02)
    fixed = make(**given)
    fixed.train()
    assert {row["kl_coef"] for row in fixed.state.log_history} == {0.1}


def test_a_cut_run_goes_on_at_the_same_price(make: Make, tmp_path: Path) -> None:
    given = {"kl_target": 0.01, "kl_horizon": 10, "learning_rate": 1e-2, "total_episodes": 24}
    given |= {"save_strategy": "steps", "save_steps": 2}
    whole = make(**given)
    whole.train()
    again = make(**given)
    again.train(resume_from_checkpoint=str(tmp_path / "scratch" / "checkpoint-4"))
    assert len({row["kl_coef"] for row in whole.state.log_history}) == 6
    assert again.state.log_history == whole.state.log_history
    assert again.outcome() == whole.outcome()
    assert same_weights(again.policy, whole.policy)


# A function as reward.


def test_a_function_takes_the_place_of_the_reward_model(make: Make, tokenizer_ids: tuple[int, int]) -> None:
    class Places:
        """The score of an answer is the row of its prompt."""

        reward_model_weight = 0.0

        def score(self, rollout: Any, rows: list[int]) -> Any:
            return dataclasses.replace(rollout, scores=torch.tensor(rows).float())

    trainer = make(function_reward=Places(), total_episodes=8)
    read = read_by_the_reward_model(trainer)
    trainer.train()
    for step, row in enumerate(trainer.state.log_history, start=1):
        assert row["reward"] == pytest.approx(sum(trainer.prompt_rows(step)) / 4)
    assert read == []


def test_a_callback_can_end_training(make: Make) -> None:
    class EndAfterTwo(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 2

    trainer = make(callbacks=[EndAfterTwo()])
    trainer.train()
    assert (trainer.outcome()["updates"], trainer.outcome()["stopped_by"]) == (2, "callback")


# Trouble.


def test_a_run_that_diverges_says_so(make: Make) -> None:
    trainer = make()
    with torch.no_grad():
        trainer.critic.score.weight.fill_(float("inf"))
    with pytest.raises(ConfigError, match="in update 1. Finite numbers are needed"):
        trainer.train()


def test_training_raises_the_reward(make: Make) -> None:
    trainer = make(per_device_train_batch_size=32, total_episodes=32 * 25, learning_rate=1e-2, kl_coef=0.0)
    with torch.no_grad():
        trainer.critic.score.weight.zero_()
    trainer.train()
    rewards = [row["reward"] for row in trainer.state.log_history]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 1


@pytest.fixture
def tokenizer_ids(tiny_model: Callable[..., tuple[Any, Any]]) -> tuple[int, int]:
    """Ids of the pad and the end token."""
    _, tokenizer = tiny_model()
    return tokenizer.pad_token_id, tokenizer.eos_token_id


def same_weights(one: Any, other: Any) -> bool:
    """Whether two models agree in every bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
