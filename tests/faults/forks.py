"""Starts of a recipe in processes that are forked from one which has imported everything: an import costs most of a
small flow's time. Each has a session of its own, so that whoever outlives it is found."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "tests" / "faults" / "flow.yaml"
LONGEST_END_SECONDS = 60


def import_everything() -> None:
    """Load what the stages load, without computing anything: a fork keeps no threads."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]
    import importlib

    for name in (
        "torch", "transformers", "datasets", "trl", "peft", "accelerate", "matplotlib.pyplot",
        "transformers.models.llama.modeling_llama", "trl.experimental.ppo.ppo_trainer", "trl.trainer.sft_trainer",
        "trl.trainer.reward_trainer", "hftrain.corpus.gathering", "hftrain.corpus.curation", "hftrain.training.loop",
        "hftrain.training.pretraining", "hftrain.alignment.ppo", "hftrain.evaluation.suite", "hftrain.report.page",
        "recipes.full_flow",
    ):  # fmt: skip
        importlib.import_module(name)


@dataclass
class Started:
    """A process that runs a recipe."""

    pid: int
    log: Path
    code: int | None = None
    """How it ended: its exit code, or minus the signal; None while it runs."""

    def ended(self, *, within_seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        deadline = time.monotonic() + within_seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= deadline:
                return False
            else:
                time.sleep(0.005)
        return True

    def send(self, number: signal.Signals) -> None:
        """Signal it, and it alone; it may have ended just now."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def left_behind(self, *, within_seconds: float = 15) -> list[str]:
        """The processes of its session that outlive it by so much; they are ended then."""
        deadline = time.monotonic() + within_seconds
        while (left := _of_session(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        names = [f"{each.pid} {' '.join(each.cmdline())[:80]}" for each in left if each.is_running()]
        for each in left:
            with contextlib.suppress(psutil.Error):
                each.kill()
        return names


def start(recipe: str, words: Sequence[str], log: Path) -> Started:
    """Start a recipe's command line in a fork; what it says goes to ``log``."""
    pid = os.fork()
    if pid:
        return Started(pid, log)
    code = 70
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        code = _run(recipe, words)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _run(recipe: str, words: Sequence[str]) -> int:
    import importlib
    import logging
    import traceback

    from hftrain.cli import main
    from hftrain.stages.flow import FlowConfig

    logging.getLogger("hftrain").handlers.clear()  # the parent's writes where the parent's stderr goes
    module = importlib.import_module(f"recipes.{recipe}")
    kind = FlowConfig if recipe == "full_flow" else next(v for k, v in vars(module).items() if k.endswith("Config"))
    try:
        main(module.run, kind, section=None if recipe == "full_flow" else recipe, arguments=list(words))
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:  # noqa: BLE001  shown as the interpreter would
        traceback.print_exc()
        return 1
    return 0


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(each.pid) == session and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
