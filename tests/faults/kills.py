"""The whole small flow killed at random moments over all its stages, and started again until it is done."""

import json
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import forks

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS_A_RUN = 4
TAIL_BYTES = 1500


@dataclass
class Tally:
    """What was tried, and what it cost."""

    kills: int = 0
    runs: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    """Stage -> how often it was at work when the process was killed."""
    signals: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """What was wrong afterwards; nothing, when all is well."""


def digests(run: Path) -> dict[str, dict[str, object]]:
    """Each finished artifact's files, as its manifest says."""
    return {path.parent.name: json.loads(path.read_text())["files"] for path in _manifests(run)}


def unbroken(folder: Path) -> tuple[Path, float]:
    """A run without a break, and how many seconds it took."""
    run = folder / "whole"
    began = time.monotonic()
    process = forks.start("full_flow", ["--config", str(forks.FLOW), "--run-dir", str(run)], folder / "whole.log")
    process.ended(within_seconds=900)
    if process.code != 0:
        raise RuntimeError(f"the unbroken run ended with {process.code}: {_tail(process.log)}")
    return run, time.monotonic() - began


def kill_often(
    kills: int, folder: Path, whole: Path, seconds: float, *, seed: int, say: Callable[[str], None] = lambda line: None
) -> Tally:
    """Kill so often, each signal in turn, at moments drawn evenly over the flow's whole time."""
    tally, draw = Tally(), random.Random(seed)
    reference = digests(whole)
    while tally.kills < kills:
        run = Path(tempfile.mkdtemp(dir=folder)) / "run"
        wanted = min(KILLS_A_RUN, kills - tally.kills)
        moments = sorted(draw.uniform(0, seconds) for _ in range(wanted))
        _one_run(run, moments, reference, tally, draw)
        tally.runs += 1
        say(f"{tally.kills} kills, {tally.runs} runs, {len(tally.lost)} lost, in {dict(tally.stages)}")
        if not tally.lost:
            shutil.rmtree(run.parent)
    return tally


def _one_run(
    run: Path, moments: list[float], reference: dict[str, dict[str, object]], tally: Tally, draw: random.Random
) -> None:
    words = ["--config", str(forks.FLOW), "--run-dir", str(run)]
    while True:
        process = forks.start("full_flow", words, run.parent / "log")
        if not moments:
            break
        delay = max(moments.pop(0) - _progress(run), draw.uniform(0, 0.5))
        if process.ended(within_seconds=delay):
            break
        number = SIGNALS[tally.kills % len(SIGNALS)]
        at_work = _at_work(run)
        process.send(number)
        if not process.ended(within_seconds=forks.LONGEST_END_SECONDS):
            tally.lost.append(f"{number.name} in {at_work}: did not end")
            process.send(signal.SIGKILL)
            process.ended(within_seconds=10)
        tally.kills += 1
        tally.stages[at_work] += 1
        tally.signals[number.name] += 1
        tally.lost += _wrong_after(process, run, reference, f"{number.name} in {at_work}", whole=False)
    process.ended(within_seconds=600)
    tally.lost += _wrong_after(process, run, reference, "the end", whole=True)


def _wrong_after(
    process: forks.Started, run: Path, reference: dict[str, dict[str, object]], when: str, *, whole: bool
) -> list[str]:
    from hftrain.lineage import verify

    found = [f"{when}: process {each} is left" for each in process.left_behind()]
    now = digests(run)
    if now:
        found += [f"{when}: {name}: {claim}" for name, claims in verify(run).items() for claim in claims]
    found += [f"{when}: {name} differs from the unbroken run" for name in now if now[name] != reference.get(name)]
    log = process.log.read_text(errors="replace")
    if "Traceback" in log and "KeyboardInterrupt" not in log:
        found.append(f"{when}: a traceback: {_tail(process.log)}")
    if whole:
        if process.code != 0:
            found.append(f"{when}: exit code {process.code}: {_tail(process.log)}")
        found += [f"{when}: {name} is missing" for name in reference if name not in now]
        found += [
            f"{when}: {path.name} is left"
            for path in run.rglob("*")
            if path.name.endswith((".partial", ".replaced", ".lock", ".tmp")) or path.name == "scratch"
        ]
    return found


def _progress(run: Path) -> float:
    """Seconds of work that are done, by the manifests."""
    return sum(json.loads(path.read_text())["seconds"] for path in _manifests(run))


def _manifests(run: Path) -> list[Path]:
    """Those of what is finished: one that waits for its rename is not."""
    return [path for path in run.glob("*/manifest.json") if path.parent.suffix not in (".partial", ".replaced")]


def _at_work(run: Path) -> str:
    """Which artifact is being made."""
    names = [path.name.removesuffix(".partial") for path in run.glob("*.partial")]
    return names[0] if names else "between stages"


def _tail(log: Path) -> str:
    return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
