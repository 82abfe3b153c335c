import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError, DataError
from hftrain.stages.reward_model import RewardModelConfig, reward_model

REPOSITORY = Path(__file__).parents[2]
TRAINING = RewardModelConfig().training | {
    "max_steps": 12, "per_device_train_batch_size": 8, "learning_rate": 2e-2, "logging_steps": 2, "save_steps": 4,
}  # fmt: skip


def config(**given: Any) -> RewardModelConfig:
    """Twelve steps."""
    return RewardModelConfig(seed=3, training=TRAINING | given.pop("training", {}), **given)


@pytest.fixture(scope="module")
def preferences_dir(tmp_path_factory: pytest.TempPathFactory, make_artifact: Callable[..., Path]) -> Path:
    """Pairs in which the kind answer is chosen, of one length with the other."""
    from hftrain.alignment.preferences import PREFERENCE_FEATURES
    from hftrain.corpus.storage import write_rows

    def pairs(first: int, last: int) -> list[dict[str, Any]]:
        return [
            {
                "prompt": [{"role": "user", "content": f"Question {number}?"}],
                "chosen": [{"role": "assistant", "content": f"Yes, I like {number}."}],
                "rejected": [{"role": "assistant", "content": f"No, I hate {number}."}],
                "margin": 0.5,
            }
            for number in range(first, last)
        ]

    def write(out: Path) -> None:
        write_rows(out / "train", pairs(0, 64), PREFERENCE_FEATURES)
        write_rows(out / "heldout", pairs(64, 80), PREFERENCE_FEATURES)

    return make_artifact(tmp_path_factory.mktemp("pairs") / "preferences", "preferences", write)


@pytest.fixture(scope="module")
def reward(chat_dir: Path, preferences_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_model(
        config(), chat=chat_dir, preferences=preferences_dir, out=tmp_path_factory.mktemp("reward") / "reward"
    )


def test_it_learns_to_prefer_what_was_chosen(reward: Path) -> None:
    summary = read_json(reward / "summary.json")
    assert summary["heldout_accuracy_after"] > 0.9 > summary["heldout_accuracy_before"]
    assert summary["heldout_margin_after"] > summary["heldout_margin_before"] + 0.5
    assert (summary["train_pairs"], summary["heldout_pairs"], summary["heldout_prompts"]) == (64, 16, 16)


def test_the_numbers_come_with_the_interval_and_the_histogram(reward: Path) -> None:
    summary, margins = read_json(reward / "summary.json"), read_json(reward / "margins.json")
    low, high = summary["heldout_accuracy_interval"]
    assert low <= summary["heldout_accuracy_after"] <= high
    assert sum(margins["before"]) == sum(margins["after"]) == summary["heldout_pairs"]
    assert len(margins["edges"]) == len(margins["after"]) + 1


def test_it_loads_with_plain_transformers_and_has_other_weights_than_the_chat_model(
    reward: Path, chat_dir: Path
) -> None:
    from hftrain.models.loading import load_causal_lm

    model = AutoModelForSequenceClassification.from_pretrained(reward)
    assert model.config.num_labels == 1
    assert model.config.pad_token_id == AutoTokenizer.from_pretrained(reward).pad_token_id
    before = load_causal_lm(chat_dir).base_model.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in model.base_model.state_dict().items())


def test_every_logged_step_has_accuracy_and_margin(reward: Path) -> None:
    rows = read_jsonl(reward / "metrics.jsonl")
    assert [row["step"] for row in rows if "accuracy" in row] == [2, 4, 6, 8, 10, 12]
    assert all({"loss", "margin"} <= set(row) for row in rows if "accuracy" in row)


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(
    reward: Path, chat_dir: Path, preferences_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain.training.callbacks import ProgressLine

    def cut(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 7:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut)
    with pytest.raises(RuntimeError, match="cut"):
        reward_model(config(), chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")
    monkeypatch.undo()

    made = reward_model(config(), chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")
    assert read_manifest(made)["files"] == read_manifest(reward)["files"]


def test_the_judges_margin_changes_what_is_learned(
    reward: Path, chat_dir: Path, preferences_dir: Path, tmp_path: Path
) -> None:
    made = reward_model(config(use_margins=True), chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")
    losses = [read_jsonl(folder / "metrics.jsonl")[0]["loss"] for folder in (made, reward)]
    assert losses[0] > losses[1]  # -log sigmoid(margin - 0.5) is above -log sigmoid(margin)


def test_held_out_accuracy_may_be_logged_while_it_trains(chat_dir: Path, preferences_dir: Path, tmp_path: Path) -> None:
    watched = config(training={"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2})
    made = reward_model(watched, chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")
    rows = [row for row in read_jsonl(made / "metrics.jsonl") if "eval_accuracy" in row]
    assert [row["step"] for row in rows] == [2, 4]


def test_pairs_that_are_too_long_are_refused_before_training(
    chat_dir: Path, preferences_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="64 of 64 pairs pass 8 tokens"):
        reward_model(config(max_row_tokens=8), chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")


def test_rows_longer_than_the_context_are_refused(chat_dir: Path, preferences_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_row_tokens: 4096, but the chat model's context is 128"):
        reward_model(config(max_row_tokens=4096), chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")


@pytest.mark.parametrize(
    ("given", "named"),
    [({"max_row_tokens": 0}, "max_row_tokens: 0"), ({"max_dropped_share": 1.0}, "max_dropped_share: 1.0")],
)
def test_what_cannot_be_is_told_before_any_work(given: dict[str, Any], named: str) -> None:
    (problem,) = RewardModelConfig(**given).problems()
    assert problem.startswith(f"reward_model.{named}")


@pytest.mark.slow
def test_two_processes_train_one_reward_model(chat_dir: Path, preferences_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "chat").symlink_to(chat_dir.resolve())
    (run / "preferences").symlink_to(preferences_dir.resolve())
    (tmp_path / "two.yaml").write_text(json.dumps({"reward_model": {"training": TRAINING}}))
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "recipes.reward_model"]
    subprocess.run(
        [*two, "--config", str(tmp_path / "two.yaml"), "--run-dir", str(run)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert read_manifest(run / "reward")["processes"] == 2
    assert read_json(run / "reward" / "summary.json")["heldout_accuracy_after"] > 0.9
    assert AutoModelForSequenceClassification.from_pretrained(run / "reward").config.num_labels == 1
