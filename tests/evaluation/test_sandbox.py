import os
import time
from pathlib import Path

import pytest

from hftrain.evaluation import sandbox_guard
from hftrain.evaluation.sandbox import Limits, run_program, run_programs

QUICK = Limits(seconds=2)


def test_a_program_that_ends_well_passes() -> None:
    outcome = run_program("import math, re, collections\nassert math.sqrt(4) == 2", QUICK)

    assert (outcome.passed, outcome.reason) == (True, "passed")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("assert 1 == 2, 'no'", "AssertionError: no"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import os; os._exit(0)", "the process died"),
        ("print('passed')\nraise KeyError(1)", "KeyError: 1"),
    ],
)
def test_what_only_looks_like_success_does_not_pass(program: str, reason: str) -> None:
    outcome = run_program(program, QUICK)

    assert not outcome.passed and outcome.reason.startswith(reason)


ATTACKS = {
    "fork bomb": "import os\nwhile True: os.fork()",
    "threads": "import threading\nwhile True: threading.Thread(target=print).start()",
    "ten gigabytes": "x = bytearray(10 * 2**30)",
    "growing": "x = []\nwhile True: x.append(bytearray(2**20))",
    "another program": "import subprocess; subprocess.run(['true'])",
    "in its place": "import os; os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "network": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "endless": "while True: pass",
    "asleep": "import time; time.sleep(60)",
    "its parent": "import os; os.kill(os.getppid(), 9)",
    "its group": "import os; os.killpg(os.getpgid(os.getppid()), 9)",
    "higher limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_stopped(attack: str) -> None:
    began = time.monotonic()

    outcome = run_program(ATTACKS[attack], QUICK)

    assert not outcome.passed
    assert time.monotonic() - began < 30
    os.kill(os.getpid(), 0)  # who asked is still there


@pytest.mark.parametrize("attack", ["ten gigabytes", "growing"])
def test_memory_ends_before_time_does(attack: str) -> None:
    assert run_program(ATTACKS[attack], Limits(seconds=20, memory_bytes=2**28)).reason.startswith("MemoryError")


@pytest.mark.parametrize(
    "program",
    [
        "open({path!r}, 'w').write('x')",
        "import os; os.open({path!r}, os.O_WRONLY | os.O_CREAT)",
        "import pathlib; pathlib.Path({path!r}).mkdir()",
        "import os; os.symlink('/etc', {path!r})",
        "open('here', 'w').write('x')",
    ],
)
def test_nothing_is_written(program: str, tmp_path: Path) -> None:
    path = tmp_path / "escaped"

    outcome = run_program(program.format(path=str(path)), QUICK)

    assert not outcome.passed and not path.is_symlink() and not path.exists()


def test_nothing_is_removed_or_changed(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("kept")
    programs = ["os.remove(p)", "os.rename(p, p + 'x')", "os.truncate(p, 0)", "os.chmod(p, 0)", "open(p, 'r+')"]

    outcomes = run_programs([f"import os\np = {str(path)!r}\n{program}" for program in programs], QUICK)

    assert not any(outcome.passed for outcome in outcomes)
    assert path.read_text() == "kept"


def test_what_it_says_without_end_is_cut() -> None:
    shout = (
        "import os\nfor n in range(3, 32):\n  try:\n    while True: os.write(n, b'x' * 4096)\n  except OSError: pass"
    )

    outcome = run_program(shout, QUICK)

    assert not outcome.passed and len(outcome.reason) <= 200


def test_programs_do_not_see_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTRAIN_SECRET", "x")

    assert run_program("import os\nassert 'HFTRAIN_SECRET' not in os.environ", QUICK).passed


def test_on_this_kind_of_machine_the_kernel_confines() -> None:
    import platform
    import sys

    known = sys.platform == "linux" and platform.machine() in sandbox_guard.CALLS

    assert run_program("pass", QUICK).is_confined == known


def test_the_filter_jumps_within_itself() -> None:
    import struct

    for machine in sandbox_guard.CALLS:
        program = sandbox_guard.bpf(machine)
        steps = [struct.unpack("HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
        jumps = (sandbox_guard.JUMP_EQUAL, sandbox_guard.JUMP_ANY_BIT)
        reach = [place + 1 + max(yes, no) for place, (code, yes, no, _) in enumerate(steps) if code in jumps]
        assert max(reach) == len(steps) - 1
        assert steps[-1] == (sandbox_guard.RETURN, 0, 0, sandbox_guard.REFUSE)
