from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hftrain.errors import DataError

TYPED = [{"role": "user", "content": "Say <|im_end|> and <|pad|>!"}]
ASKED = [{"role": "user", "content": "Hello!"}]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.fixture(scope="module")
def rewards(chat_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a reward model, and its tokenizer."""
    from hftrain.alignment.reward import new_reward_model
    from hftrain.models.loading import save_model
    from hftrain.tokens.chat import load_tokenizer

    tokenizer = load_tokenizer(chat_dir)
    folder = tmp_path_factory.mktemp("models") / "reward"
    save_model(new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1), tokenizer, folder)
    return folder, tokenizer


def test_a_special_token_that_someone_typed_stays_text_where_trl_reads_it_as_one(rewards: tuple[Path, Any]) -> None:
    from trl import GRPOTrainer

    from hftrain.alignment.group_policy import GroupRollouts

    tokenizer = rewards[1]
    special = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    ours = GroupRollouts()
    ours.processing_class = tokenizer
    (ids,), _, _ = ours._tokenize_prompts([TYPED])
    assert sum(token in special for token in ids) == 1, "the end of the user's turn"

    plain = SimpleNamespace(
        processing_class=tokenizer,
        _is_vlm=False,
        environment_factories=None,
        tools=[],
        chat_template=None,
        chat_template_kwargs={},
    )
    (trl_ids,), _, _ = GRPOTrainer._tokenize_prompts(plain, [TYPED])
    assert sum(token in special for token in trl_ids) == 3


def test_a_later_pass_has_the_order_of_its_seed_where_trls_starts_with_the_first(rewards: tuple[Path, Any]) -> None:
    from trl.trainer.utils import RepeatSampler

    from hftrain.alignment.group_policy import ByEpoch

    def upstream() -> Any:
        return RepeatSampler(range(20), mini_repeat_count=2, batch_size=5, seed=3)

    whole = upstream()
    first, second = list(whole), list(whole)
    assert list(upstream()) == first != second, "a run that goes on in the second pass would repeat the first"

    epoch = [0]
    unbroken, resumed = (ByEpoch(upstream(), seed=3, epoch=lambda: epoch[0]) for _ in range(2))
    orders = []
    for number in range(3):
        epoch[0] = number
        orders.append(list(unbroken))
    assert orders[0] == first
    assert orders[1] != orders[0] != orders[2]
    assert list(resumed) == orders[2]
    assert len(resumed) == 40


def test_the_reward_model_reads_an_answer_as_it_reads_the_conversation(rewards: tuple[Path, Any]) -> None:
    from hftrain.alignment.group_rewards import rewards_of
    from hftrain.alignment.reward import load_reward_model, score_conversations
    from hftrain.tokens.chat import encode_text

    folder, tokenizer = rewards
    (reward_model,) = rewards_of(["reward_model"], folder, tokenizer)
    texts = ["Yes.", "I like books, and so do you."]
    ids = [[*encode_text(tokenizer, text), tokenizer.eos_token_id] for text in texts]
    scores = reward_model(prompts=[ASKED, TYPED], completions=[said(text) for text in texts], completion_ids=ids)
    talks = [[*prompt, *said(text)] for prompt, text in zip([ASKED, TYPED], texts, strict=True)]
    wanted = score_conversations(load_reward_model(folder), tokenizer, talks).tolist()
    assert scores == pytest.approx(wanted, abs=1e-5)


def test_functions_read_prompts_texts_and_references_and_keep_their_names(rewards: tuple[Path, Any]) -> None:
    from hftrain.alignment.group_rewards import missing_eos, rewards_of

    folder, tokenizer = rewards
    exact, number = rewards_of(["exact_match", "final_number"], folder, tokenizer)
    seen: dict[str, Any] = {
        "prompts": [ASKED, ASKED],
        "completions": [said("4 it is"), said("It is 5")],
        "completion_ids": [[7, tokenizer.eos_token_id], [7, 8]],
        "references": [["4 it is.", "5"], ["#### 4"]],
        "trainer_state": None,
    }
    assert exact(**seen) == [1.0, 0.0]
    assert number(**seen) == [1.0, 0.0]
    assert (exact.__name__, number.__name__) == ("exact_match", "final_number")
    assert missing_eos(tokenizer)(**seen) == [0.0, -1.0]


def prompts(references: list[tuple[str, ...]]) -> Any:
    from hftrain.alignment.prompts import Prompts

    return Prompts(
        train=[[1]],
        heldout=[[1]] * (len(references) - 1),
        heldout_messages=[ASKED] * (len(references) - 1),
        too_long=0,
        train_messages=[ASKED],
        train_references=references[:1],
        heldout_references=references[1:],
    )


def test_a_function_that_cannot_score_the_corpus_is_refused_before_training() -> None:
    from hftrain.alignment.group_rewards import scores_of_references

    assert scores_of_references(["reward_model", "final_number"], prompts([("4",), ("#### 5", "6")])) == {
        "reference_final_number": 1.0
    }
    with pytest.raises(DataError, match="final_number: the corpus answers 'Hi' to 'Hello!'"):
        scores_of_references(["final_number"], prompts([("4",), ("Hi",)]))


def held(tiny_model: Callable[..., Any], budget: float | None) -> Any:
    from hftrain.alignment.group_policy import GroupRollouts

    trainer = GroupRollouts()
    trainer.kl_budget = budget
    trainer.model, _ = tiny_model()
    trainer.accelerator = SimpleNamespace(unwrap_model=lambda model: model)
    trainer.state = SimpleNamespace(global_step=0, max_steps=9)
    return trainer


def test_the_policy_that_was_last_within_its_budget_comes_back(tiny_model: Callable[..., Any]) -> None:
    import torch

    from hftrain.alignment.group_policy import StopOverBudget

    trainer = held(tiny_model, 2.0)
    stop = StopOverBudget()
    stop.trainer = trainer
    control = SimpleNamespace(should_training_stop=False)
    for step, kl in ((0, 0.0), (1, 2.0), (2, 2.1)):
        trainer.state.global_step = step
        trainer._hold_to_budget(kl)
        marks = torch.stack([each.sum() for each in trainer.model.parameters()])
        if kl == 2.0:
            within = marks
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.add_(0.1)
        trainer.state.global_step = step + 1
        stop.on_step_end(None, trainer.state, control)
    assert control.should_training_stop
    assert trainer.state.max_steps == 3, "no step is left"
    assert torch.equal(torch.stack([each.sum() for each in trainer.model.parameters()]), within)
    assert (trainer.kl, trainer.updates) == (2.0, 1)


def test_without_a_budget_nothing_is_kept(tiny_model: Callable[..., Any]) -> None:
    trainer = held(tiny_model, None)
    assert trainer._hold_to_budget(99.0)
    assert not trainer.within_budget
