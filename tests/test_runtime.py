import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hftrain import runtime


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_what_was_begun_with_two_threads_goes_on_with_two(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    runtime.keep_threads(tmp_path)
    torch.set_num_threads(1)
    runtime.keep_threads(tmp_path)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("processes", "expected"), [("1", 3), ("2", 4), ("3", 2), ("16", 1)])
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch, processes: str, expected: int) -> None:
    monkeypatch.setattr(runtime, "core_count", lambda: 8)
    monkeypatch.setattr(runtime, "_threads_were_chosen", lambda: False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    torch.set_num_threads(3)
    runtime.share_cores()
    assert torch.get_num_threads() == expected


def test_a_number_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "core_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    torch.set_num_threads(3)
    runtime.share_cores()
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("chosen", "expected"), [(None, False), ("1", True)])
def test_one_thread_by_torchrun_is_told_from_one_by_the_user(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, expected: bool
) -> None:
    """What torchrun does: it sets the variable for its workers, if it was started without it."""
    worker = "from hftrain import runtime; print(runtime._threads_were_chosen())"
    launcher = (
        "import os, subprocess, sys\n"
        "os.environ.setdefault('OMP_NUM_THREADS', '1')\n"
        f"subprocess.run([sys.executable, '-c', {worker!r}], check=True)\n"
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    done = subprocess.run([sys.executable, "-c", launcher], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux is asked")
def test_freed_memory_is_kept_unless_the_user_chose_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        gnu_get_libc_version = None

        def mallopt(self, name: int, value: int) -> int:
            asked.append((name, value))
            return 1

    monkeypatch.setattr("ctypes.CDLL", lambda _: Library())
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    runtime.keep_freed_memory()
    assert [name for name, _ in asked] == [-3, -1]
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    runtime.keep_freed_memory()
    assert len(asked) == 2
