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


def test_it_is_measured_beside_length_and_words_and_for_how_sure_it_is(reward: Path) -> None:
    summary, bins = read_json(reward / "summary.json"), read_json(reward / "calibration.json")
    assert summary["bag_of_words_accuracy"] == 1.0  # "Yes" and "like" are in every chosen answer
    assert summary["length_baseline_accuracy"] == 1.0  # in tokens, one side is always longer
    assert sum(bins["pairs"]) == summary["heldout_pairs"]
    assert 0 <= summary["calibration_error"] <= 1
    assert "agreement_with_people" in summary  # nobody wrote down a judge
    assert "a bag of words" in summary["warning"]


def test_the_mean_of_several_is_published_with_the_several_beside_it(
    chat_dir: Path, preferences_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain.training.callbacks import ProgressLine

    two = config(ensemble=2, training={"max_steps": 6, "save_steps": 2})
    steps: list[int] = []

    def cut_in_the_second(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        steps.append(state.global_step)
        if len(steps) == 9:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut_in_the_second)
    with pytest.raises(RuntimeError, match="cut"):
        reward_model(two, chat=chat_dir, preferences=preferences_dir, out=tmp_path / "cut")
    monkeypatch.setattr(
        ProgressLine, "on_step_end", lambda self, args, state, *_, **__: steps.append(state.global_step)
    )
    made = reward_model(two, chat=chat_dir, preferences=preferences_dir, out=tmp_path / "cut")
    assert steps == [1, 2, 3, 4, 5, 6, 1, 2, 3, 3, 4, 5, 6]
    monkeypatch.undo()
    whole = reward_model(two, chat=chat_dir, preferences=preferences_dir, out=tmp_path / "whole")
    assert read_manifest(made)["files"] == read_manifest(whole)["files"]

    models = [AutoModelForSequenceClassification.from_pretrained(made / name) for name in ("members/0", "members/1")]
    mean = AutoModelForSequenceClassification.from_pretrained(made).score.weight
    assert torch.allclose(mean, (models[0].score.weight + models[1].score.weight) / 2)
    assert not torch.equal(models[0].score.weight, models[1].score.weight)
    summary = read_json(made / "summary.json")
    assert (summary["members"], len(summary["member_accuracies"])) == (2, 2)
    assert summary["member_score_deviation"] > 0


def test_an_adapter_is_trained_in_place_of_the_model_and_merged(
    chat_dir: Path, preferences_dir: Path, tmp_path: Path
) -> None:
    adapted = config(adapter={"r": 4, "target_modules": ["q_proj", "v_proj"]}, training={"max_steps": 4})
    made = reward_model(adapted, chat=chat_dir, preferences=preferences_dir, out=tmp_path / "reward")
    model = AutoModelForSequenceClassification.from_pretrained(made)
    from hftrain.alignment.reward import new_reward_model

    fresh = new_reward_model(chat_dir, pad_token_id=model.config.pad_token_id, seed=3)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, fresh.state_dict()[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj", "score"}
    assert (made / "adapter" / "adapter_config.json").is_file()


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
    [
        ({"max_row_tokens": 0}, "max_row_tokens: 0"),
        ({"max_dropped_share": 1.0}, "max_dropped_share: 1.0"),
        ({"word_dropout": 1.0}, "word_dropout: 1.0"),
        ({"ensemble": 0}, "ensemble: 0"),
    ],
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
