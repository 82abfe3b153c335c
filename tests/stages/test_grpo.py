import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError, DataError
from hftrain.training.callbacks import LookEvery

# Five prompts make two batches of two a pass; two updates on each batch: steps 5 to 7 are of the second pass, and a
# run cut after step 5 stands between two updates on the same answers.
TWICE: dict[str, Any] = {
    "seed": 9,  # by which TRL's second pass over five prompts has not the order of its first
    "look_every_steps": 5,
    "training": {"max_steps": 7, "num_iterations": 2, "save_steps": 1, "beta": 0.1},
}


@pytest.fixture(scope="module", params=["grpo", "rloo"])
def made(request: pytest.FixtureRequest, run_policy: Callable[..., Path], tmp_path_factory: Any) -> tuple[str, Path]:
    """A finished policy of each method that compares a prompt's answers."""
    return request.param, run_policy(request.param, tmp_path_factory.mktemp(request.param) / "policy", **TWICE)


def test_the_policy_loads_with_plain_transformers_and_differs_from_the_chat_model(
    made: tuple[str, Path], chat_dir: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    chat, trained = (AutoModelForCausalLM.from_pretrained(folder) for folder in (chat_dir, made[1]))
    assert any(not torch.equal(one, other) for one, other in zip(chat.parameters(), trained.parameters(), strict=True))


def test_each_step_logs_under_the_names_of_ppo_and_no_seconds(made: tuple[str, Path]) -> None:
    rows = read_jsonl(made[1] / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert {"reward", "answer_tokens", "ended_share", "entropy", "rewards/reward_model/mean"} <= set(rows[0])
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert not any("time" in name for row in rows for name in row)


def test_the_summary_speaks_ppos_words(made: tuple[str, Path]) -> None:
    summary = read_json(made[1] / "summary.json")
    assert read_json(made[1] / "method.json") == {"method": made[0]}
    assert (summary["updates"], summary["stopped_by"], summary["kl_budget"]) == (7, "max_steps", 10.0)
    assert summary["episodes"] == 16, "seven updates on four batches of four answers"
    low, high = summary["heldout_reward_gain_interval"]
    assert low <= summary["heldout_reward_gain"] <= high
    assert summary["train_kl"] <= 10.0


@pytest.mark.parametrize("at_step", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_a_cut_run_goes_on_to_the_same_digest(
    made: tuple[str, Path],
    run_policy: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_step: int,
) -> None:
    real = LookEvery._look

    def cut(self: Any, state: Any, model: Any) -> None:
        if state.global_step == at_step:
            raise KeyboardInterrupt
        real(self, state, model)

    with monkeypatch.context() as patch:
        patch.setattr(LookEvery, "_look", cut)
        with pytest.raises(KeyboardInterrupt):
            run_policy(made[0], tmp_path / "policy", **TWICE)
    again = run_policy(made[0], tmp_path / "policy", **TWICE)
    assert read_jsonl(again / "metrics.jsonl") == read_jsonl(made[1] / "metrics.jsonl")
    assert read_manifest(again)["digest"] == read_manifest(made[1])["digest"]


@pytest.mark.parametrize("method", ["grpo", pytest.param("rloo", marks=pytest.mark.slow)])
def test_a_budget_that_is_spent_ends_training_and_the_policy_within_is_published(
    method: str, run_policy: Callable[..., Path], tmp_path: Path
) -> None:
    training = {"learning_rate": 2e-2, "beta": 1e-6, "max_steps": 40, "lr_scheduler_type": "constant"}
    out = run_policy(method, tmp_path / "policy", kl_budget=0.3, training=training)
    summary = read_json(out / "summary.json")
    assert summary["stopped_by"] == "kl_budget"
    assert summary["train_kl"] <= 0.3
    rows = read_jsonl(out / "metrics.jsonl")
    assert summary["updates"] + 2 == len(rows) < 40, "the update that went too far, and the step that measured it"
    assert rows[-1]["kl"] > 0.3 >= rows[-2]["kl"]
    assert read_jsonl(out / "samples.jsonl")[-1]["step"] == rows[-1]["step"]


def test_functions_are_rewards_with_weights_and_are_measured(
    run_policy: Callable[..., Path], write_policy_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def brief(prompts, answers, references):\n    return [-float(len(each)) for each in answers]\n")
    corpus = write_policy_corpus(
        tmp_path / "corpus", [(f"1 + {n}?", f"{n + 1}") for n in range(5)], [("2 + 2?", "4"), ("2 + 3?", "5")]
    )
    out = run_policy(
        "grpo",
        tmp_path / "policy",
        folders={"corpus": corpus},
        rewards=["final_number", f"{file}:brief"],
        missing_eos_penalty=None,
        training={"max_steps": 1, "reward_weights": [1.0, 0.5]},
    )
    row = read_jsonl(out / "metrics.jsonl")[0]
    summary = read_json(out / "summary.json")
    parts = row["rewards/final_number/mean"] + 0.5 * row["rewards/brief/mean"]
    assert row["reward"] == pytest.approx(parts)
    assert summary["reference_final_number"] == 1.0
    assert 0 <= summary["heldout_final_number_after"] <= 1
    assert summary["heldout_brief_before"] <= 0
    outside = read_manifest(out)["outside"]
    assert set(outside) == {"final_number", f"{file}:brief"}


# Refusals, before any training.


def test_fewer_prompts_than_a_batch_are_refused_where_trl_would_train_nothing(
    run_policy: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="2 to a prompt, so 8 prompts; the corpus has 5"):
        run_policy("grpo", tmp_path / "policy", training={"per_device_train_batch_size": 16})


def test_references_that_a_function_cannot_score_are_refused(run_policy: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="final_number: the corpus answers 'Yes.'"):
        run_policy("grpo", tmp_path / "policy", rewards=["final_number"])


def test_a_context_too_short_is_refused(run_policy: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="grpo: prompts of up to 40 tokens"):
        run_policy("grpo", tmp_path / "policy", new_tokens=100)


def test_metrics_are_plain_json(made: tuple[str, Path]) -> None:
    for line in (made[1] / "metrics.jsonl").read_text().splitlines():
        assert all(value is None or isinstance(value, int | float) for value in json.loads(line).values())
