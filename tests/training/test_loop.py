from pathlib import Path

import pytest
import torch

from hftrain.errors import ConfigError
from hftrain.training.callbacks import mark_complete
from hftrain.training.loop import checkpoint_bytes, last_complete_checkpoint, run_trainer


def test_a_cut_checkpoint_is_removed_and_the_one_before_is_taken(tmp_path: Path) -> None:
    for step in (80, 90, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (80, 90):
        mark_complete(tmp_path / f"checkpoint-{step}")
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-90"
    assert not (tmp_path / "checkpoint-100").exists()


@pytest.mark.parametrize("damage", ["altered", "gone", "added"])
def test_a_checkpoint_that_was_changed_is_not_gone_on_from(tmp_path: Path, damage: str) -> None:
    for step in (10, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"moments")
        mark_complete(tmp_path / f"checkpoint-{step}")
    file = tmp_path / "checkpoint-20" / "optimizer.pt"
    if damage == "gone":
        file.unlink()
    else:
        (file if damage == "altered" else file.with_name("more.pt")).write_bytes(b"momentS")
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    for step in (90, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path / f"checkpoint-{step}")
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-1000"


def test_without_a_checkpoint_a_run_begins_at_the_start(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None


def test_older_checkpoints_go_only_once_the_new_one_is_whole(tmp_path: Path) -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from hftrain.training.callbacks import MarkCompleteCheckpoints

    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    for step in (10, 20, 30):
        (tmp_path / f"checkpoint-{step}").mkdir()
        MarkCompleteCheckpoints().on_save(args, TrainerState(global_step=step), TrainerControl())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-20", "checkpoint-30"]
    assert (tmp_path / "checkpoint-30" / "complete").exists()


def test_a_launch_for_shards_that_would_train_whole_copies_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Whole:
        is_fsdp_enabled = False

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="each process would hold all of it"):
        run_trainer(Whole(), tmp_path, description="pretrain")  # type: ignore[arg-type]


def test_a_checkpoint_before_there_is_one_counts_weights_and_moments_of_what_learns() -> None:
    model = torch.nn.Linear(10, 10, bias=False)
    assert checkpoint_bytes(model) == 100 * 4 * 3
    model.weight.requires_grad_(False)
    assert checkpoint_bytes(model) == 100 * 4
