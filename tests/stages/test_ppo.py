import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import digest_file, read_json, read_jsonl, read_manifest
from hftrain.config import load_section
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.stages.ppo import PPOStageConfig, ppo

REPOSITORY = Path(__file__).parents[2]
TRAINING = {
    "total_episodes": 32,
    "per_device_train_batch_size": 8,
    "num_mini_batches": 2,
    "num_ppo_epochs": 1,
    "learning_rate": 1e-3,
    "save_steps": 2,
}
SMALL: dict[str, Any] = {
    "seed": 5,
    "new_tokens": 6,
    "max_prompt_tokens": 40,
    "heldout_prompts": 4,
    "heldout_answers": 2,
    "look_every_updates": 2,
    "training": TRAINING,
}
Make = Callable[[Path, str, Callable[[Path], None]], Path]
Talks = list[str]


def config(**changes: Any) -> PPOStageConfig:
    training = {**PPOStageConfig().training, **TRAINING, **changes.pop("training", {})}
    return PPOStageConfig(**{**SMALL, **changes, "training": training})


@pytest.fixture(scope="module")
def make_corpus(make_artifact: Make) -> Callable[..., Path]:
    """Makes a corpus whose splits ask different things."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

    def make(folder: Path, train: Talks, heldout: Talks) -> Path:
        def write(out: Path) -> None:
            for split, asked in (("train", train), ("heldout", heldout)):
                common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
                answer = {"role": "assistant", "content": "Yes."}
                rows = [
                    {"id": f"{split}{place}", "messages": [{"role": "user", "content": text}, answer], **common}
                    for place, text in enumerate(asked)
                ]
                write_rows(out / "conversations" / split, rows, CONVERSATION_FEATURES)

        return make_artifact(folder, "corpus", write)

    return make


@pytest.fixture(scope="module")
def inputs(
    make_artifact: Make, make_corpus: Callable[..., Path], chat_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A run's chat model, reward model and corpus."""
    from hftrain.alignment.reward import new_reward_model
    from hftrain.models.loading import save_model
    from hftrain.tokens.chat import load_tokenizer

    run = tmp_path_factory.mktemp("run")
    tokenizer = load_tokenizer(chat_dir)

    def write(out: Path) -> None:
        save_model(new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1), tokenizer, out)

    (run / "chat").symlink_to(chat_dir)
    train = ["Hello!", "What is your name?", "Do you like books?", "Where is the cat?", "How are you?"]
    return {
        "chat": run / "chat",
        "reward": make_artifact(run / "reward", "reward", write),
        "corpus": make_corpus(run / "corpus", train, ["Who are you?", "Where is the dog?", "Is it warm?"]),
    }


@pytest.fixture(scope="module")
def policy(inputs: dict[str, Path]) -> Path:
    """A finished policy."""
    return ppo(config(), **inputs, out=inputs["reward"].parent / "policy")


def test_the_policy_loads_with_plain_transformers_and_differs_from_the_chat_model(
    policy: Path, inputs: dict[str, Path]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chat, trained = (AutoModelForCausalLM.from_pretrained(folder) for folder in (inputs["chat"], policy))
    assert any(not torch.equal(one, other) for one, other in zip(chat.parameters(), trained.parameters(), strict=True))
    ids = AutoTokenizer.from_pretrained(policy)("Hello!")["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(inputs["chat"])("Hello!")["input_ids"]


def test_each_update_logs_its_numbers(policy: Path) -> None:
    rows = read_jsonl(policy / "metrics.jsonl")
    assert [(row["step"], row["episodes"]) for row in rows] == [(1, 8), (2, 16), (3, 24), (4, 32)]
    assert set(rows[0]) == {
        "step",
        "episodes",
        "reward",
        "reward_std",
        "kl",
        "kl_coef",
        "entropy",
        "policy_loss",
        "value_loss",
        "clip_share",
        "value_clip_share",
        "approx_kl",
        "ratio",
        "explained_variance",
        "distinct_1",
        "distinct_2",
        "repetition",
        "same_answer_share",
        "answer_tokens",
        "ended_share",
        "learning_rate",
        "grad_norm",
    }


def test_fixed_prompts_are_answered_through_time(policy: Path) -> None:
    rows = read_jsonl(policy / "samples.jsonl")
    assert [row["step"] for row in rows] == [0] * 3 + [2] * 3 + [4] * 3
    assert {row["prompt"] for row in rows} == {"Who are you?", "Where is the dog?", "Is it warm?"}


def test_the_summary_holds_reward_before_and_after_and_what_it_cost(policy: Path) -> None:
    summary = read_json(policy / "summary.json")
    gain = summary["heldout_reward_after"] - summary["heldout_reward_before"]
    low, high = summary["heldout_reward_gain_interval"]
    assert summary["heldout_reward_gain"] == pytest.approx(gain)
    assert low <= gain <= high
    assert (summary["updates"], summary["episodes"], summary["stopped_by"]) == (4, 32, "total_episodes")
    assert (summary["train_prompts"], summary["heldout_prompts"], summary["too_long_prompts"]) == (5, 3, 0)
    assert {"heldout_kl", "ended_share_before", "ended_share_after", "answer_tokens_before"} < set(summary)
    for habit in ("entropy", "distinct_1", "distinct_2", "repetition", "same_answer_share"):
        assert {f"{habit}_before", f"{habit}_after"} < set(summary)
    assert read_json(policy / "method.json") == {"method": "ppo"}


def test_the_speed_stands_outside_the_digest(policy: Path) -> None:
    measured = read_manifest(policy)["measured"]
    assert measured["samples_per_second"] > 0
    assert measured["tokens_per_second"] > measured["samples_per_second"]


def test_the_same_request_gives_the_same_bytes(policy: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    again = ppo(config(), **inputs, out=tmp_path / "policy")
    assert read_manifest(again)["digest"] == read_manifest(policy)["digest"]


def test_another_seed_gives_another_policy(policy: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    other = ppo(config(seed=6), **inputs, out=tmp_path / "policy")
    assert digest_file(other / "model.safetensors") != digest_file(policy / "model.safetensors")


@pytest.mark.parametrize("cut_at", [1, 3, 4])
def test_a_cut_run_publishes_what_an_unbroken_one_does(
    policy: Path, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    """Cut while looking at step 0, 2 and 4: the samples of that step may be missing, and are made again."""
    from hftrain.training.callbacks import LookEvery

    looks = 0
    real = LookEvery._look

    def cut(self: Any, state: Any, model: Any) -> None:
        nonlocal looks
        looks += 1
        if looks == min(cut_at, 3):
            raise KeyboardInterrupt
        real(self, state, model)

    with monkeypatch.context() as patch:
        if cut_at < 4:
            patch.setattr(LookEvery, "_look", cut)
        else:
            patch.setattr("hftrain.alignment.heldout.look", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ppo(config(), **inputs, out=tmp_path / "policy")
    again = ppo(config(), **inputs, out=tmp_path / "policy")
    assert read_manifest(again)["digest"] == read_manifest(policy)["digest"]


def test_a_budget_that_is_spent_is_told(inputs: dict[str, Path], tmp_path: Path) -> None:
    training = {"learning_rate": 2e-2, "kl_coef": 0.0, "total_episodes": 400}
    out = ppo(config(kl_budget=0.3, training=training), **inputs, out=tmp_path / "policy")
    summary = read_json(out / "summary.json")
    assert summary["stopped_by"] == "kl_budget"
    assert summary["train_kl"] <= 0.3
    assert summary["updates"] == len(read_jsonl(out / "metrics.jsonl")) - 1 < 50


@pytest.fixture(scope="module")
def talkative(make_corpus: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with enough held-out prompts to choose by some and measure on others."""
    heldout = ["Who are you?", "Where is the dog?", "Is it warm?", "Who is Ann?", "What is red?"]
    return make_corpus(tmp_path_factory.mktemp("more") / "corpus", ["Hello!", "How are you?"], heldout)


BEST: dict[str, Any] = {"keep": "best", "heldout_prompts": 5, "look_every_updates": 1, "training": {"save_steps": 1}}


@pytest.fixture(scope="module")
def best(inputs: dict[str, Path], talkative: Path) -> Path:
    """A finished policy that a rule has chosen."""
    return ppo(config(**BEST), **{**inputs, "corpus": talkative}, out=talkative.parent / "policy")


def test_the_best_policy_is_the_one_the_rule_names(best: Path) -> None:
    """3 of the 5 held-out prompts choose, 2 are reported on."""
    summary, rows = read_json(best / "summary.json"), read_jsonl(best / "metrics.jsonl")
    looks = [row for row in rows if "heldout_objective" in row]
    assert [row["step"] for row in looks] == [0, 1, 2, 3, 4]
    within = [row for row in looks if row["heldout_kl"] <= summary["kl_budget"]]
    chosen = max(within, key=lambda row: row["heldout_objective"])
    assert summary["kept_updates"] == summary["updates"] == chosen["step"]
    assert summary["choice_reward"] == chosen["heldout_objective"]
    assert (summary["keep"], summary["choice_prompts"], summary["heldout_prompts"]) == ("best", 3, 2)
    assert "highest held-out reward" in summary["keep_rule"]
    assert {"heldout_distinct_2", "heldout_entropy", "heldout_ended_share"} < set(looks[0])


@pytest.mark.parametrize("cut_at", [1, 3, 5, 6])
def test_a_cut_run_chooses_the_same_policy(
    best: Path, inputs: dict[str, Path], talkative: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    """Cut at the start of a look, after its checkpoint; the sixth look is the comparison in the end."""
    from hftrain.alignment import heldout, ppo_choice

    looks = 0
    real = heldout.look

    def cut(*given: Any, **named: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == cut_at:
            raise KeyboardInterrupt
        return real(*given, **named)

    given = {**inputs, "corpus": talkative}
    with monkeypatch.context() as patch:
        patch.setattr(ppo_choice, "look", cut)
        patch.setattr(heldout, "look", cut)
        with pytest.raises(KeyboardInterrupt):
            ppo(config(**BEST), **given, out=tmp_path / "policy")
    again = ppo(config(**BEST), **given, out=tmp_path / "policy")
    assert read_manifest(again)["digest"] == read_manifest(best)["digest"]


def test_a_function_can_be_the_reward(inputs: dict[str, Path], tmp_path: Path) -> None:
    """Long answers are rewarded; the reward model measures all the same."""
    (tmp_path / "mine.py").write_text("def long(prompts, answers, references):\n    return [len(a) for a in answers]\n")
    changes = {"reward_function": f"{tmp_path / 'mine.py'}:long", "training": {"missing_eos_penalty": None}}
    out = ppo(config(**changes), **inputs, out=tmp_path / "policy")
    summary = read_json(out / "summary.json")
    assert read_jsonl(out / "metrics.jsonl")[0]["reward"] > 0
    low, high = summary["heldout_function_reward_gain_interval"]
    assert low <= summary["heldout_function_reward_gain"] <= high
    assert "heldout_reward_after" in summary
    assert config(**changes).outside() != {}


def test_a_reward_function_that_is_not_there_is_told_before_any_work() -> None:
    (found,) = config(reward_function="final_numbr").problems()
    assert found.startswith("ppo.reward_function: 'final_numbr' is no reward function")


# Refusals, before any training.


def test_too_few_prompts_to_choose_by_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keep: best, but there are 3 held-out prompts"):
        ppo(config(keep="best"), **inputs, out=tmp_path / "policy")


def test_a_context_too_short_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the context of .* is 128 tokens"):
        ppo(config(new_tokens=100), **inputs, out=tmp_path / "policy")


def test_a_reward_model_of_another_tokenizer_is_refused(
    inputs: dict[str, Path], make_artifact: Make, tmp_path: Path
) -> None:
    from hftrain.tokens.vocabulary import learn_vocabulary, save_tokenizer

    other = make_artifact(
        tmp_path / "reward", "reward", lambda out: save_tokenizer(learn_vocabulary(["ab ba " * 9], vocab_size=262), out)
    )
    with pytest.raises(ArtifactError, match="both need one tokenizer"):
        ppo(config(), **{**inputs, "reward": other}, out=tmp_path / "policy")


def test_a_corpus_without_prompts_is_refused(
    inputs: dict[str, Path], make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "corpus", ["Hello!"], ["Hello!"])
    with pytest.raises(DataError, match="conversations/heldout: 0 prompts are left"):
        ppo(config(), **{**inputs, "corpus": corpus}, out=tmp_path / "policy")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"training": {"num_mini_batches": 3}}, "training.num_mini_batches: 3. A divisor of the 8 prompts"),
        ({"training": {"whiten_rewards": True}}, "mini-batches of 8 answers or more, not 4"),
        ({"training": {"temperature": 0}}, "training.temperature: 0. Sampling needs more than 0"),
        ({"training": {"missing_eos_penalty": -1}}, "training.missing_eos_penalty: -1"),
        ({"training": {"kl_estimator": "k2"}}, "training.kl_estimator: k2. k1 or k3 is needed"),
        ({"training": {"total_episodes": 0}}, "training.total_episodes: 0"),
        ({"training": {"save_strategy": "epoch"}}, "training.save_strategy: epoch. steps or no"),
        ({"kl_budget": 0.0}, "kl_budget: 0.0. More than 0"),
        ({"new_tokens": 0}, "new_tokens: 0. 1 or more"),
        ({"heldout_prompts": 1}, "heldout_prompts: 1. An interval needs 2"),
        ({"heldout_prompts": 3, "keep": "best"}, "heldout_prompts: 3. An interval needs 2 or more, and so many again"),
        ({"keep": "first"}, "keep: first. last or best"),
        ({"kl_target": 0.0}, "kl_target: 0.0. More than 0, or null"),
        ({"kl_horizon": 7.0}, "kl_horizon: 7.0. As many as an update's 8 answers"),
        ({"reward_model_weight": 0.5}, "reward_model_weight: 0.5. It weighs the reward model beside"),
    ],
)
def test_values_that_cannot_be_are_told_before_any_work(changes: dict[str, Any], problem: str) -> None:
    found = config(**changes).problems()
    assert len(found) == 1
    assert problem in found[0]


def test_the_defaults_are_sound_and_upstream_knows_every_name(tmp_path: Path) -> None:
    assert load_section(PPOStageConfig, "ppo", None).problems() == []


def test_a_misspelt_argument_of_upstream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("ppo:\n  training:\n    kl_coeff: 0.1\n")
    with pytest.raises(ConfigError, match="did you mean kl_coef"):
        load_section(PPOStageConfig, "ppo", tmp_path / "run.yaml")


# Whole processes.


def command(inputs: dict[str, Path], tmp_path: Path, *launcher: str, name: str) -> tuple[list[str], dict[str, str]]:
    """The recipe on a run folder of its own, as a shell would start it."""
    run = tmp_path / name
    run.mkdir()
    for kind, folder in inputs.items():
        (run / kind).symlink_to(folder.resolve())
    file = tmp_path / f"{name}.yaml"
    file.write_text(json.dumps({"ppo": {**SMALL, "training": config().training | {"save_steps": 1}}}))
    words = [
        sys.executable,
        "-W",
        "default",
        *launcher,
        "-m",
        "recipes.ppo",
        "--config",
        str(file),
        "--run-dir",
        str(run),
    ]
    return words, {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_digest(inputs: dict[str, Path], tmp_path: Path) -> None:
    words, environment = command(inputs, tmp_path, name="whole")
    subprocess.run(words, cwd=REPOSITORY, env=environment, check=True)
    whole = read_manifest(tmp_path / "whole" / "policy")

    words, environment = command(inputs, tmp_path, name="killed")
    process = subprocess.Popen(words, cwd=REPOSITORY, env=environment)
    scratch = tmp_path / "killed" / "policy.partial" / "scratch"
    while not list(scratch.glob("checkpoint-[23]")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "policy").exists()
    subprocess.run(words, cwd=REPOSITORY, env=environment, check=True)
    assert read_manifest(tmp_path / "killed" / "policy")["digest"] == whole["digest"]


@pytest.mark.slow
def test_two_processes_publish_one_policy_and_go_on_after_a_kill(inputs: dict[str, Path], tmp_path: Path) -> None:
    two = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
    words, environment = command(inputs, tmp_path, *two, name="whole")
    subprocess.run(words, cwd=REPOSITORY, env=environment, check=True)
    whole = tmp_path / "whole" / "policy"
    assert read_manifest(whole)["processes"] == 2
    assert [row["episodes"] for row in read_jsonl(whole / "metrics.jsonl")] == [16, 32]

    words, environment = command(inputs, tmp_path, *two, name="killed")
    process = subprocess.Popen(words, cwd=REPOSITORY, env=environment, start_new_session=True)
    scratch = tmp_path / "killed" / "policy.partial" / "scratch"
    while not list(scratch.glob("checkpoint-1")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "policy").exists()
    subprocess.run(words, cwd=REPOSITORY, env=environment, check=True)
    assert read_manifest(tmp_path / "killed" / "policy")["digest"] == read_manifest(whole)["digest"]
