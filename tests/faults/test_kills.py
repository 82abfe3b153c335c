"""The flow killed at random moments, a launch of two processes killed one by one, two flows on one folder at once."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


@pytest.mark.parametrize("part", ["kills", "launches"])
def test_nothing_is_lost_whenever_and_whoever_is_killed(part: str) -> None:
    """In a process of its own: it forks one that has imported everything and has no threads yet."""
    words = [sys.executable, "-W", "ignore", str(HERE / "run.py"), "--only", part, "--kills", "8"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_many_small_trainings_and_many_requests_leave_nothing_behind() -> None:
    words = [sys.executable, "-W", "ignore", str(HERE / "long_haul.py"), "--minutes", "0.5"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
