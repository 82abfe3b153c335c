"""Programs that a model wrote, run where they can do little harm.

Each runs in a process of its own (`sandbox_guard`), in an empty folder, without the environment. On Linux (x86-64 and
ARM64) it keeps only the system calls that computing and reading need, by seccomp: it can start no process or thread,
open no socket, send no signal, and write, make or remove no file. Where the kernel has Landlock (5.13 and later) it
sees no file but those of the interpreter and the system's libraries: not this process's memory or environment, not
the answers. Memory, processor time, open files and output are bounded; the whole is killed when its time is over.
Elsewhere Python's own functions for these are taken away, which stops accidents and not intent;
`Outcome.is_confined` and `Outcome.is_hidden` say what held.

It does not protect from: errors of the kernel or of the interpreter that undo seccomp; side channels; a program that
cheats its tests from within, since it shares the interpreter with them: by values that are equal to everything, or by
looking for the mark of success in the guard's memory; use of the processor up to the time limit; and, without
Landlock, reading files that this user can read. Whoever runs programs of a model that may be hostile should do it in
a virtual machine.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hftrain.runtime import core_count, progress

GUARD = Path(__file__).with_name("sandbox_guard.py")
START_SECONDS = 20
"""Beside its own time, a program gets this long until its interpreter stands: machines are busy."""
MOST_SAID_BYTES = 4096
WAITING = 4
"""A program's time is the processor's, so that a busy machine changes no score; by the clock it may take so many
times as long."""


@dataclass(frozen=True)
class Limits:
    """What one program may use."""

    seconds: int = 5
    """Of the processor."""
    memory_bytes: int = 2**30
    output_bytes: int = 2**16


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    passed: bool
    """Whether it came to its end without an error; to exit is not to pass."""
    reason: str
    """``passed``, the error, ``time is over``, or that the process died."""
    is_confined: bool
    """Whether the kernel held it; otherwise Python was patched, which can be got round."""
    is_hidden: bool = False
    """Whether the kernel hid every file but the interpreter's."""


DEFAULT_LIMITS = Limits()


def run_program(source: str, limits: Limits = DEFAULT_LIMITS) -> Outcome:
    """Run one program."""
    token = secrets.token_hex(16)
    settings = {
        "seconds": limits.seconds,
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.output_bytes,
        "token": token,
    }
    given = json.dumps(settings).encode() + b"\n" + source.encode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        try:
            how, result = _said(process, given, WAITING * limits.seconds)
            return _judged(how, None if result == b"" and _ran_out(process) else result, token)
        finally:
            _end(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


def run_programs(sources: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> list[Outcome]:
    """Run several, as many at a time as there are cores."""
    with ThreadPoolExecutor(max_workers=core_count()) as pool:
        return list(
            progress(
                pool.map(lambda source: run_program(source, limits), sources),
                total=len(sources),
                unit="program",
                description="programs",
            )
        )


def _said(process: "subprocess.Popen[bytes]", given: bytes, seconds: int) -> tuple[bytes, bytes | None]:
    """The guard's two lines, the second None where time was over. Its start and the program's run are timed apart."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(given)
        process.stdin.close()
    how = _read(process, START_SECONDS, until=b"\n")
    return how or b"", _read(process, seconds, until=None) if how else b""


def _ran_out(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the kernel ended it for the processor's time that it took."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=START_SECONDS) == -signal.SIGXCPU
    return False


def _read(process: "subprocess.Popen[bytes]", seconds: float, *, until: bytes | None) -> bytes | None:
    """What the process says, up to a mark or its end; None where it took too long, and was killed."""
    assert process.stdout is not None
    over = threading.Event()

    def stop() -> None:
        over.set()
        _end(process)

    watch = threading.Timer(seconds, stop)
    watch.start()
    found = b""
    while len(found) < MOST_SAID_BYTES and not (until and found.endswith(until)):
        piece = os.read(process.stdout.fileno(), 1 if until else MOST_SAID_BYTES - len(found))
        if not piece:
            break
        found += piece
    watch.cancel()
    return None if over.is_set() else found


def _judged(how: bytes, result: bytes | None, token: str) -> Outcome:
    how_held = how.split()
    held = {"is_confined": b"confined" in how_held, "is_hidden": b"hidden" in how_held}
    if result is None:
        return Outcome(passed=False, reason="time is over", **held)
    text = result.decode("utf-8", "replace")
    if text == f"passed {token}":
        return Outcome(passed=True, reason="passed", **held)
    return Outcome(passed=False, reason=text[:200] or "the process died", **held)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and whatever it started; it leads its own group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
