from pathlib import Path

from hftrain.training.loop import last_complete_checkpoint


def test_a_cut_checkpoint_is_removed_and_the_one_before_is_taken(tmp_path: Path) -> None:
    for step in (80, 90, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (80, 90):
        (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-90"
    assert not (tmp_path / "checkpoint-100").exists()


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    for step in (90, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-1000"


def test_without_a_checkpoint_a_run_begins_at_the_start(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None
