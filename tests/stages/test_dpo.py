from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.training.callbacks import LookEvery


@pytest.fixture(scope="module", params=["dpo", "kto"])
def made(request: pytest.FixtureRequest, run_policy: Callable[..., Path], tmp_path_factory: Any) -> tuple[str, Path]:
    """A finished policy of each method that learns from pairs."""
    return request.param, run_policy(request.param, tmp_path_factory.mktemp(request.param) / "policy")


def test_the_policy_loads_with_plain_transformers_and_differs_from_the_chat_model(
    made: tuple[str, Path], chat_dir: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chat, trained = (AutoModelForCausalLM.from_pretrained(folder) for folder in (chat_dir, made[1]))
    assert any(not torch.equal(one, other) for one, other in zip(chat.parameters(), trained.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(made[1])("Hello!") == AutoTokenizer.from_pretrained(chat_dir)("Hello!")


def test_the_summary_holds_what_it_learned_and_what_that_cost(made: tuple[str, Path]) -> None:
    method, folder = made
    summary = read_json(folder / "summary.json")
    assert read_json(folder / "method.json") == {"method": method}
    assert (summary["train_pairs"], summary["heldout_pairs"], summary["dropped_too_long"]) == (10, 6, 0)
    assert 0.5 < summary["heldout_preference_accuracy"] <= 1
    assert summary["heldout_margin"] > 0
    assert summary["steps"] == 4
    assert {"heldout_kl", "ended_share_after", "answer_tokens_after", "distinct_2_after"} <= set(summary)
    assert "heldout_reward_after" not in summary


def test_kto_counts_its_answers(made: tuple[str, Path]) -> None:
    summary = read_json(made[1] / "summary.json")
    if made[0] == "kto":  # "Yes, …" won once and lost once
        assert (summary["desirable_answers"], summary["undesirable_answers"], summary["ambiguous_answers"]) == (5, 5, 5)


def test_held_out_pairs_and_answers_are_watched_through_time(made: tuple[str, Path]) -> None:
    looks = [row for row in read_jsonl(made[1] / "metrics.jsonl") if "heldout_preference_accuracy" in row]
    assert [row["step"] for row in looks] == [0, 2, 4]
    assert looks[0]["heldout_preference_accuracy"] == 0.5
    samples = read_jsonl(made[1] / "samples.jsonl")
    assert [row["step"] for row in samples] == [0] * 3 + [2] * 3 + [4] * 3


def test_a_cut_run_goes_on_to_the_same_digest(
    made: tuple[str, Path], run_policy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LookEvery._look

    def cut(self: Any, state: Any, model: Any) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt
        real(self, state, model)

    with monkeypatch.context() as patch:
        patch.setattr(LookEvery, "_look", cut)
        with pytest.raises(KeyboardInterrupt):
            run_policy(made[0], tmp_path / "policy")
    again = run_policy(made[0], tmp_path / "policy")
    assert read_manifest(again)["digest"] == read_manifest(made[1])["digest"]
