import errno
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hftrain.cli import guarded
from hftrain.errors import ArtifactError


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Take back the log handler that a command line installs."""
    logger = logging.getLogger("hftrain")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def failing(problem: BaseException) -> int:
    """The exit code of work that fails so."""

    def work() -> None:
        raise problem

    return guarded(work, debug=False)


def test_work_that_succeeds_exits_with_0() -> None:
    assert guarded(lambda: None, debug=False) == 0


def test_a_users_mistake_is_told_without_a_traceback_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(ArtifactError("runs/x: is gone. It is needed. Make it.")) == 2
    assert capsys.readouterr().err == "error: runs/x: is gone. It is needed. Make it.\n"


def test_debug_lets_the_traceback_through() -> None:
    def work() -> None:
        raise ArtifactError("gone")

    with pytest.raises(ArtifactError):
        guarded(work, debug=True)


def test_a_full_disk_says_so_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(OSError(errno.ENOSPC, "No space left on device", "runs/tiny/base.partial/x")) == 2
    assert "runs/tiny/base.partial/x: No space left on device. The disk is full" in capsys.readouterr().err


def test_a_defect_of_ours_is_never_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())
    with pytest.raises(KeyError):
        failing(KeyError("gone"))


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt()) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def hftrain(*words: str) -> subprocess.CompletedProcess[str]:
    """The installed command."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "hftrain"), *words], capture_output=True, text=True, check=False
    )


def test_output_that_nobody_reads_to_its_end_is_no_error(chat_dir: Path) -> None:
    command = f"{Path(sys.executable).parent / 'hftrain'} trace {chat_dir} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_trace_and_verify_read_an_artifact(chat_dir: Path) -> None:
    assert hftrain("trace", str(chat_dir)).stdout.startswith("chat  sha256:")
    assert hftrain("verify", str(chat_dir.parent)).stdout == "whole   chat\n"


def test_a_folder_without_artifacts_is_told(tmp_path: Path) -> None:
    done = hftrain("verify", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no finished artifact" in done.stderr


def test_init_lays_recipes_that_run_and_never_overwrites(tmp_path: Path) -> None:
    assert "full_flow.py" in hftrain("init", str(tmp_path)).stdout
    done = subprocess.run(
        [sys.executable, "-m", "recipes.full_flow", "--config", "recipes/configs/tiny.yaml", "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = hftrain("init", str(tmp_path))
    assert again.returncode == 2
    assert "is there already" in again.stderr
