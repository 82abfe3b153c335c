import os
import time
from pathlib import Path

import pytest

from hftrain.evaluation import sandbox_guard
from hftrain.evaluation.sandbox import Limits, run_program, run_programs

QUICK = Limits(seconds=2)
BRIEF = Limits(seconds=1)


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
    "a child that sleeps on": "import subprocess; subprocess.Popen(['sleep', '100'])",
    "a thread that sleeps on": "import threading, time; threading.Thread(target=time.sleep, args=(100,)).start()",
    "fork below Python": "import ctypes; assert ctypes.CDLL(None).fork() >= 0",
    "fork by its number": "import ctypes; assert ctypes.CDLL(None).syscall(435, 0, 0) >= 0",
    "another machine's numbers": "import ctypes; assert ctypes.CDLL(None).syscall(0x40000000 | 57) >= 0",
    "watching": "import ctypes, os; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
    "memory of others": "import ctypes, os; assert ctypes.CDLL(None).syscall(310, os.getppid(), 0, 0, 0, 0, 0) >= 0",
    "datagrams": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "names": "import socket; socket.gethostbyname('localhost.invalid')",
    "shared memory": "from multiprocessing import shared_memory as s; s.SharedMemory(create=True, size=9)",
    "a file without a name": "import os; os.memfd_create('x')",
    "rings of calls": "import ctypes; assert ctypes.CDLL(None).syscall(425, 8, 0) >= 0",
    "another root": "import os; os.chroot('/tmp')",
    "everyone": "import os; os.kill(-1, 9)",
    "deaf to signals": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
    "a number without end": "10 ** 10 ** 9",
    "an expression without end": "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
    "depth": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "an error that ends it": "import os\nclass E(Exception):\n  def __str__(self): os._exit(0)\nraise E",
    "an error without end": "class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E",
    "an error called passed": "class passed(Exception): pass\nraise passed",
}


@pytest.mark.parametrize(
    "program",
    [
        "class A:\n  def __del__(self): raise ValueError\na = A()\ndel a\nassert False",
        "import os, sys\nos._exit = sys.exit = os.write = lambda *given: None\nassert False",
        "import builtins\nbuiltins.AssertionError = builtins.BaseException = type('E', (Exception,), {})\nassert False",
        "import os\nwrite = os.write\nos.write = lambda file, text: write(file, b'passed')\nassert False",
        "import os\nfor n in range(32):\n  try: os.write(n, b'passed')\n  except OSError: pass\nos._exit(0)",
    ],
)
def test_who_changes_the_checker_does_not_pass(program: str) -> None:
    assert not run_program(program, QUICK).passed


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_stopped(attack: str) -> None:
    began = time.monotonic()

    outcome = run_program(ATTACKS[attack], BRIEF)

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

    outcome = run_program(shout, BRIEF)

    assert not outcome.passed and len(outcome.reason) <= 200


def test_time_is_the_processors_and_its_end_is_told() -> None:
    assert run_program("while True: pass", BRIEF).reason == "time is over"
    assert run_program("import time; time.sleep(1.5)", BRIEF).passed  # a busy machine is no program's fault


def test_programs_do_not_see_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTRAIN_SECRET", "x")

    assert run_program("import os\nassert 'HFTRAIN_SECRET' not in os.environ", QUICK).passed


SIGHT = [
    "open('/proc/{parent}/environ').read()",
    "open('/proc/{parent}/mem', 'rb')",
    "import os; os.listdir('/proc/{parent}/fd')",
    "import os; os.listdir('/root')",
    "open({kept!r}).read()",
    "open('/etc/passwd').read()",
]


@pytest.mark.parametrize("look", SIGHT)
def test_where_the_kernel_hides_files_no_other_is_read(look: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("secret")

    outcome = run_program(look.format(parent=os.getpid(), kept=str(kept)), QUICK)

    if not outcome.is_hidden:
        pytest.skip("this kernel has no Landlock")
    assert outcome.reason.startswith("PermissionError")


def test_what_is_hidden_from_it_leaves_it_its_own_library() -> None:
    modules = "decimal, json, sqlite3, ctypes, hashlib, zoneinfo, heapq, string, random, datetime, unicodedata, cmath"

    assert run_program(f"import {modules}\nassert hashlib.sha256(b'').hexdigest()", QUICK).passed


def test_nothing_that_it_started_is_left_behind() -> None:
    mark = "hftrain-left-behind"
    run_program(f"import subprocess; subprocess.Popen(['sleep', '100', {mark!r}])", QUICK)
    run_program(f"import os\nif os.fork() == 0:\n  os.execv('/bin/sleep', ['sleep', '100', {mark!r}])", QUICK)

    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert mark.encode() not in entry.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile


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
