"""Trainings by two processes under ``accelerate launch``, one of which is killed; and two flows at once."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import forks
import kills
import psutil

ACCELERATE = str(Path(sys.executable).parent / "accelerate")
CONFIG = forks.ROOT / "recipes" / "accelerate" / "cpu.yaml"
WHO = ("rank 0", "rank 1", "the launcher")
LONGEST_SECONDS = 240
STEPS = 200
"""Enough for a kill to come in the middle."""


def _launched(run: Path) -> subprocess.Popen[bytes]:
    words = [ACCELERATE, "launch", "--config_file", str(CONFIG), "--num_processes", "2", "recipes/pretrain.py"]
    words += ["--config", str(forks.FLOW), "--run-dir", str(run), "--set", f"pretrain.training.max_steps={STEPS}"]
    log = (run.parent / "log").open("ab")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(words, cwd=forks.ROOT, stdout=log, stderr=log, start_new_session=True, env=environment)


def _ranks(launcher: int) -> dict[str, psutil.Process]:
    found = {}
    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(launcher).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                rank = each.environ().get("RANK")
                if rank is not None and "recipes/pretrain.py" in " ".join(each.cmdline()):
                    found[f"rank {rank}"] = each
    return found


def _newest(run: Path) -> int:
    """The step of the newest whole checkpoint."""
    found = run.glob("base.partial/scratch/checkpoint-*/complete")
    return max((int(path.parent.name.rpartition("-")[2]) for path in found), default=0)


def _killed(run: Path, who: str) -> list[str]:
    """Kill one of a launch once it has a whole checkpoint; what was wrong then."""
    before = _newest(run)
    process = _launched(run)
    deadline = time.monotonic() + LONGEST_SECONDS
    while _newest(run) <= before and time.monotonic() < deadline:
        if process.poll() is not None:
            return [f"{who}: ended by itself, {process.returncode}"]
        time.sleep(0.02)
    ranks = _ranks(process.pid)
    victim = psutil.Process(process.pid) if who == "the launcher" else ranks.get(who)
    if victim is None:
        process.kill()
        return [f"{who}: not found among {sorted(ranks)}"]
    victim.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    _, alive = psutil.wait_procs(ranks.values(), timeout=30)
    found = [f"{who} killed: process {each.pid} is left" for each in alive]
    for each in alive:
        each.kill()
    return found + ([] if process.poll() is not None else [f"{who} killed: the launcher goes on"])


def kill_launches(folder: Path, whole: Path) -> list[str]:
    """Kill either rank and the launcher, one after another; let it end then, and compare with an unbroken launch."""
    runs = {name: folder / name / "run" for name in ("unbroken", "killed")}
    for run in runs.values():
        run.mkdir(parents=True)
        for kind in ("corpus", "tokenizer"):
            shutil.copytree(whole / kind, run / kind)
    found = [] if _launched(runs["unbroken"]).wait(LONGEST_SECONDS) == 0 else ["the unbroken launch failed"]
    for who in WHO:
        found += _killed(runs["killed"], who)
        if (runs["killed"] / "base").exists():
            shutil.rmtree(runs["killed"] / "base")
    if _launched(runs["killed"]).wait(LONGEST_SECONDS) != 0:
        log = (runs["killed"].parent / "log").read_text(errors="replace")
        return [*found, f"after the kills it does not end: {log[-800:]}"]
    one, other = (kills.digests(run).get("base") for run in runs.values())
    found += [] if one == other else ["the launch that was killed made other bytes"]
    left = [path.name for path in runs["killed"].iterdir() if path.name.endswith((".partial", ".lock"))]
    return found + [f"{name} is left" for name in left]


def two_at_once(folder: Path, whole: Path) -> list[str]:
    """Start the flow twice on one folder: one makes it, the other says who does."""
    run = folder / "twice"
    words = ["--config", str(forks.FLOW), "--run-dir", str(run)]
    both = [forks.start("full_flow", words, folder / f"twice-{place}.log") for place in range(2)]
    for process in both:
        process.ended(within_seconds=600)
    said = [process.log.read_text(errors="replace") for process in both]
    codes = sorted(process.code or 0 for process in both)
    found = [] if codes == [0, 2] else [f"exit codes {codes}"]
    refused = next((text for process, text in zip(both, said, strict=True) if process.code == 2), "")
    maker = next((process.pid for process in both if process.code == 0), 0)
    if f"process {maker} is making it now" not in refused:
        found.append(f"the one that was refused does not name the other: {refused[-300:]}")
    found += [] if kills.digests(run) == kills.digests(whole) else ["what was made differs"]
    return found + [f"a process is left: {each}" for process in both for each in process.left_behind()]
