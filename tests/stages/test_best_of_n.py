from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment import best_of_n
from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import DataError
from hftrain.models.generation import Answer
from hftrain.training.callbacks import LookEvery


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights hardly ever end an answer: here every one but a prompt's first does."""
    real = best_of_n.answer_prompts

    def answers(model: Any, tokenizer: Any, prompts: Any, **named: Any) -> list[list[Answer]]:
        found = real(model, tokenizer, prompts, **named)
        end = (tokenizer.eos_token_id,)
        return [[one[0], *(Answer(each.text, (*each.tokens, *end), True) for each in one[1:])] for one in found]

    monkeypatch.setattr(best_of_n, "answer_prompts", answers)


def test_picked_answers_are_kept_counted_and_learned(
    ending: None, run_policy: Callable[..., Path], tmp_path: Path, chat_dir: Path
) -> None:
    out = run_policy("best_of_n", tmp_path / "policy", answers_per_prompt=4)
    picked, summary = read_jsonl(out / "picked.jsonl"), read_json(out / "summary.json")
    assert summary["picked"] == len(picked) == 5
    assert all(row["reward"] > row["mean_reward"] for row in picked)
    assert summary["picked_reward"] > summary["mean_reward"]
    assert (summary["sft_conversations"], summary["episodes"], summary["steps"]) == (2, 20, 4)
    assert read_json(out / "method.json") == {"method": "best_of_n"}
    assert {"heldout_reward_gain", "heldout_kl", "ended_share_after"} <= set(summary)


def test_a_cut_run_goes_on_with_its_picks_to_the_same_digest(
    ending: None, run_policy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_policy("best_of_n", tmp_path / "whole", answers_per_prompt=4)
    real = LookEvery._look

    def cut(self: Any, state: Any, model: Any) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt
        real(self, state, model)

    with monkeypatch.context() as patch:
        patch.setattr(LookEvery, "_look", cut)
        with pytest.raises(KeyboardInterrupt):
            run_policy("best_of_n", tmp_path / "policy", answers_per_prompt=4)
    monkeypatch.setattr(best_of_n, "pick_best", None)  # not asked again
    again = run_policy("best_of_n", tmp_path / "policy", answers_per_prompt=4)
    assert read_manifest(again)["digest"] == read_manifest(whole)["digest"]


def test_a_model_whose_answers_never_end_is_refused(
    run_policy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(model: Any, tokenizer: Any, prompts: Any, **named: Any) -> list[list[Answer]]:
        return [[Answer("Yes", (7,), False)] * named["answers_per_prompt"] for _ in prompts]

    monkeypatch.setattr(best_of_n, "answer_prompts", cut)
    with pytest.raises(DataError, match="nothing was picked for 5 prompts: to 5 no answer ended"):
        run_policy("best_of_n", tmp_path / "policy")
