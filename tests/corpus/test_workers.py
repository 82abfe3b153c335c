"""Results come in the order of the pieces, whatever the number of processes; nothing is left when one fails."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hftrain.corpus.workers import Workers
from hftrain.errors import DataError

SCRIPT = """
import os, pathlib, sys, time
from hftrain.corpus.workers import Workers

def warm_up():
    pathlib.Path(os.environ["PIDS"], f"{os.getpid()}.pid").touch()

def work(number):
    time.sleep(60)

if __name__ == "__main__":
    with Workers(2, warm_up) as workers:
        list(workers.in_order(work, range(4)))
"""


def work(number: int) -> tuple[int, int]:
    if number < 0:
        raise ValueError(f"{number} is not wanted")
    time.sleep(0.02 * (number % 3))  # later pieces are done before earlier ones
    return number * 10, os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_results_are_in_the_order_of_the_pieces(processes: int) -> None:
    with Workers(processes) as workers:
        found = list(workers.in_order(work, range(20)))
    assert [value for value, _ in found] == [10 * number for number in range(20)]
    assert (os.getpid() in {process for _, process in found}) == (processes == 1)


def test_pieces_are_read_as_they_are_needed() -> None:
    read = []

    def pieces():
        for number in range(1000):
            read.append(number)
            yield number

    with Workers(2) as workers:
        next(workers.in_order(work, pieces()))
        assert len(read) < 10


def test_a_failure_of_a_worker_is_raised_here() -> None:
    with Workers(2) as workers, pytest.raises(ValueError, match="-1 is not wanted"):
        list(workers.in_order(work, [1, -1, 2]))


def refuse() -> None:
    raise DataError("a word list: not text. One is needed. Mend it.")


def refused(number: int) -> None:
    refuse()


def test_what_cannot_be_loaded_is_told_by_the_first_piece() -> None:
    with Workers(2, refuse) as workers, pytest.raises(DataError, match="a word list: not text"):
        list(workers.in_order(refused, [1]))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(SCRIPT)
    environment = {**os.environ, "PIDS": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "pool.py")], env=environment)
    while len(pids := list(tmp_path.glob("*.pid"))) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    workers = [int(path.stem) for path in pids]

    def alive(pid: int) -> bool:
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))
