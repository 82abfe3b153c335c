"""What the tables of bad input share: a case, how it is run in this process, and what a clear error is."""

import contextlib
import importlib
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
USER_ERROR = 2
LONGEST_ERROR_LINES = 40

Arrange = Callable[[Path], Sequence[str]]
"""Lays what is wrong into a folder and returns the words to start the recipe with."""


@dataclass(frozen=True)
class Case:
    """One bad input: what is done, and what has to be said of it."""

    name: str
    arrange: Arrange
    says: tuple[str, ...]
    """Each has to stand in the error, or in the account of what was dropped."""
    recipe: str = "full_flow"
    counted: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the artifact's summary: the law has it dropped and counted. Empty: it is refused, with code 2."""


@dataclass(frozen=True)
class Outcome:
    """How a start ended."""

    code: int | None
    error: str
    escaped: str = ""
    """The exception that got past the command line: a traceback to a user."""


def start(recipe: str, words: Sequence[str]) -> Outcome:
    """Start a recipe in this process as its command line does."""
    sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]
    from hftrain.cli import main
    from hftrain.stages.flow import FlowConfig

    module = importlib.import_module(f"recipes.{recipe}")
    kind: Any = FlowConfig
    if recipe != "full_flow":
        kind = next(each for name, each in vars(module).items() if name.endswith("Config"))
    said, shown = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown):
        try:
            main(module.run, kind, section=None if recipe == "full_flow" else recipe, arguments=list(words))
        except SystemExit as ended:
            code = ended.code
        except BaseException as problem:  # noqa: BLE001  whatever gets past the command line is what is looked for
            return Outcome(None, said.getvalue(), f"{type(problem).__name__}: {problem}")
    return Outcome(code, said.getvalue())


def faults_of(case: Case, outcome: Outcome, run_dir: Path) -> list[str]:
    """What is wrong with how a case ended; nothing, when it is as the law says."""
    if outcome.escaped:
        return [f"a traceback: {outcome.escaped[:300]}"]
    found = ["a traceback in the text"] if "Traceback (most recent" in outcome.error else []
    left = [path.name for path in run_dir.glob("*.lock") if path.is_file()] if run_dir.is_dir() else []
    found += [f"a lock is left: {left}"] if left else []
    return found + (_wrong_count(case, outcome, run_dir) if case.counted else _wrong_refusal(case, outcome))


def _wrong_refusal(case: Case, outcome: Outcome) -> list[str]:
    if outcome.code != USER_ERROR:
        return [f"exit code {outcome.code}, not {USER_ERROR}: {outcome.error[-300:]}"]
    told = re.findall(r"(?ms)^error: .*", outcome.error)
    if len(told) != 1 or told[0].count("\nerror: "):
        return [f"{len(told)} errors: {outcome.error[-300:]}"]
    text = told[0]
    found = [f"{fragment!r} is not said: {text[:400]}" for fragment in case.says if fragment not in text]
    if len(re.findall(r"[.?:!)](?:\s|$)", text)) < 2:
        found.append(f"no remedy: {text[:300]}")
    if len(text.splitlines()) > LONGEST_ERROR_LINES:
        found.append(f"{len(text.splitlines())} lines of error")
    return found


def _wrong_count(case: Case, outcome: Outcome, run_dir: Path) -> list[str]:
    if outcome.code != 0:
        return [f"exit code {outcome.code}, not 0: {outcome.error[-400:]}"]
    artifact = next(path.parent for path in run_dir.glob("*/manifest.json"))
    summary = json.loads((artifact / "summary.json").read_text(encoding="utf-8"))
    found = [
        f"{name} is {summary.get(name)}, not {number}"
        for name, number in case.counted.items()
        if summary.get(name) != number
    ]
    account = (artifact / "sources.jsonl").read_text(encoding="utf-8") if case.says else ""
    return found + [
        f"{fragment!r} is not in the account: {account[:400]}" for fragment in case.says if fragment not in account
    ]


def try_case(case: Case, folder: Path) -> list[str]:
    """Arrange a case in an empty folder and start it there; what is wrong with how it ended."""
    words = case.arrange(folder)
    run_dir = folder / "run"
    if "--run-dir" not in words:
        words = [*words, "--run-dir", str(run_dir)]
    return faults_of(case, start(case.recipe, words), run_dir)
