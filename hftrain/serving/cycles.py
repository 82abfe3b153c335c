"""The cycles of a run on disk: which is open, what it may learn, and what became of it.

``RUN/cycles/001/`` holds ``plan.json`` (what the cycle starts from, and how much there is to learn), ``rows.jsonl``
(the feedback as it was when the cycle began), the artifacts that its stages make, and at the end ``decision.json``. The
database is asked once: a cycle that is cut and goes on sees the same feedback.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from hftrain.alignment.feedback import SortedFeedback, ranked_pairs, sort_feedback
from hftrain.errors import ArtifactError, DataError
from hftrain.evaluation.gates import GATES_FILE
from hftrain.files import digest_file, digest_value, read_json, read_jsonl, write_json, write_jsonl
from hftrain.manifests import MANIFEST, read_manifest
from hftrain.runtime import log
from hftrain.serving.feedback_snapshot import feedback_rows
from hftrain.serving.promotion import Promotion, history, promote, promoted, promotions

FOLDER, PLAN, ROWS, DECISION = "cycles", "plan.json", "rows.jsonl", "decision.json"


class CycleRefused(ArtifactError):
    """A cycle's model broke a gate."""


@dataclass(frozen=True)
class Cycle:
    """One cycle: where it lies and what it starts from."""

    name: str
    """Its number, such as ``001``."""
    folder: Path
    start: Promotion
    promoted: Path
    """The folder of the model that it starts from."""
    learns: dict[str, int]
    """How many ``corrections``, ``comparisons`` and ``thumbs`` there are, of each of which there are enough."""
    reads_rankings: bool
    """Whether the file of rankings is new to the model."""


@contextlib.contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Hold the run's cycles.

    Raises:
        ArtifactError: Another process does.
    """
    (run / FOLDER).mkdir(exist_ok=True)
    lock = FileLock(run / FOLDER / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ArtifactError(
            f"{run / FOLDER}: another process is in a cycle of this run. Wait until it is done, or end it."
        ) from None
    try:
        yield
    finally:
        lock.release()


def open_cycle(run: Path, database: str | None, rules: Any, fewest: Mapping[str, int]) -> Cycle:
    """The cycle that was cut, or a new one if there is enough to learn.

    Args:
        run: The run's folder.
        database: An SQLAlchemy URL; None for the run's file.
        rules: A ``CollectFeedbackConfig``.
        fewest: How many corrections, comparisons and thumbs are enough, each.

    Raises:
        DataError: There is too little of everything; nothing was made.
        ArtifactError: Nothing was kept, or the model that the cut cycle started from is promoted no more.
    """
    names = cycle_names(run)
    if names and not (run / FOLDER / names[-1] / DECISION).is_file():
        return _reopened(run, names[-1], promoted(run))
    if names:
        _finish_promotion(run, names[-1])
    start = promoted(run)
    rows = feedback_rows(run, database, _heard(run))
    rankings = _new_rankings(run, rules)
    sorted_rows, pairs = _sorted(rows, rules, rankings)
    learns = enough(sorted_rows, pairs, fewest)
    if not learns:
        raise DataError(f"cycle: too little feedback: {_told(sorted_rows, pairs, fewest)}. {_MORE}")
    _check_news(run, names, rows, rankings)
    name = f"{int(names[-1]) + 1 if names else 1:03}"
    folder = run / FOLDER / name
    folder.mkdir(mode=0o700, exist_ok=True)
    write_jsonl(folder / ROWS, rows)
    plan = {"model": start.model, "digest": start.digest, "cycle": start.cycle, "learns": learns, "rankings": rankings}
    write_json(folder / PLAN, plan)
    log.info("cycle %s: starts from %s, learns %s", name, start.model, learns)
    return Cycle(name, folder, start, run / start.model, learns, rankings is not None)


_MORE = "Serve the model to more people, or lower cycle.fewest_corrections, fewest_comparisons or fewest_thumbs."


def enough(found: SortedFeedback, pairs: int, fewest: Mapping[str, int]) -> dict[str, int]:
    """How many there are of each kind of which there are enough."""
    return {name: count for name, count in _counts(found, pairs).items() if count >= fewest[name]}


def say_counts(run: Path, out: TextIO, database: str | None, rules: Any, fewest: Mapping[str, int]) -> None:
    """Say what people said since the promoted model was made, and what of it a cycle would learn."""
    sorted_rows, pairs = _sorted(feedback_rows(run, database, _heard(run)), rules, _new_rankings(run, rules))
    learns = enough(sorted_rows, pairs, fewest)
    counts = sorted_rows.counts()
    dropped = counts.pop("dropped")
    out.write(f"promoted now: {promoted(run).model}\n")
    out.writelines(f"{name.replace('_', ' '):16}{count:8}\n" for name, count in counts.items())
    out.writelines(f"  dropped, {reason.replace('_', ' '):22}{count:5}\n" for reason, count in dropped.items())
    out.write(f"a cycle would learn: {', '.join(learns) or 'nothing, there is too little'}\n")


def decide(run: Path, cycle: Cycle, candidate: Path, out: TextIO) -> None:
    """Promote a cycle's model, or refuse it; either way the cycle says why from then on.

    Raises:
        CycleRefused: It was refused; the message has the reasons.
    """
    gates = read_json(cycle.folder / "evaluation" / GATES_FILE)["gates"]
    reasons = [
        f"{gate['test']} {gate['measure']} is {gate['value']:.4g}; {', '.join(gate['bounds'])} is needed"
        for gate in gates
        if not gate["passed"]
    ]
    if promoted(run) != cycle.start:
        reasons.append(f"{cycle.start.model} was promoted when the cycle began, and {promoted(run).model} is now")
    model = candidate.relative_to(run).as_posix()
    decision = {
        "model": model,
        "digest": read_manifest(candidate)["digest"],
        "against": {"model": cycle.start.model, "digest": cycle.start.digest},
        "learned": cycle.learns,
        "promoted": not reasons,
        "reasons": reasons,
        "gates": len(gates),
    }
    write_json(cycle.folder / DECISION, decision)
    if reasons:
        lines = "\n  ".join(reasons)
        raise CycleRefused(
            f"{cycle.folder}: refused; {cycle.start.model} stays promoted.\n  {lines}\nThe cycle stays there to be "
            "looked at. Look at the feedback, or change the cycle's settings, and run it again."
        )
    _finish_promotion(run, cycle.name)
    out.write(f"cycle {cycle.name}: promoted {model}, which passed {len(gates)} gates against {cycle.start.model}\n")


def cycle_names(run: Path) -> list[str]:
    """The numbers of the cycles that were begun, in order; what was cut before its plan stood never began."""
    return sorted(path.parent.name for path in (run / FOLDER).glob(f"*/{PLAN}"))


def _finish_promotion(run: Path, name: str) -> None:
    """Promote what was decided on, unless that was done: the process may have ended between the two."""
    decision = read_json(run / FOLDER / name / DECISION)
    if decision["promoted"] and not any(entry["cycle"] == name for entry in history(run)):
        promote(run, decision["model"], name)


def _reopened(run: Path, name: str, now: Promotion) -> Cycle:
    folder = run / FOLDER / name
    plan = read_json(folder / PLAN)
    start = Promotion(plan["model"], plan["digest"], plan["cycle"])
    if start != now:
        raise ArtifactError(
            f"{folder}: was begun when {start.model} was promoted, and {now.model} is now. A cycle is held against "
            "what it started from. Delete its folder and run `hftrain cycle` again, or roll back."
        )
    if not (run / start.model / MANIFEST).is_file():
        raise ArtifactError(f"{run / start.model}: is gone, and {folder} starts from it. Put it back.")
    log.info("cycle %s: goes on", name)
    return Cycle(name, folder, start, run / start.model, plan["learns"], plan["rankings"] is not None)


def _heard(run: Path) -> set[str]:
    """The feedback that those cycles learned from whose models led to the promoted one."""
    return {row["id"] for folder in _learned(run) for row in read_jsonl(folder / ROWS)}


def _learned(run: Path) -> list[Path]:
    return [run / FOLDER / each.cycle for each in promotions(run) if each.cycle]


def _new_rankings(run: Path, rules: Any) -> str | None:
    """The digest of the file of rankings, unless the promoted model learned it."""
    digest = None if rules.rankings is None else digest_file(rules.rankings)
    return None if digest in [read_json(folder / PLAN)["rankings"] for folder in _learned(run)] else digest


def _check_news(run: Path, names: list[str], rows: list[dict[str, Any]], rankings: str | None) -> None:
    """Make sure that a cycle after a refused one, or one that was rolled back, has something that that one had not.

    Raises:
        DataError: It has the same feedback.
    """
    if not names:
        return
    last = run / FOLDER / names[-1]
    decision = read_json(last / DECISION)
    before = [read_jsonl(last / ROWS), read_json(last / PLAN)["rankings"]]
    same = digest_value([rows, rankings]) == digest_value(before)
    if same:
        became = "rolled back" if decision["promoted"] else f"refused: {'; '.join(decision['reasons'])}"
        raise DataError(
            f"cycle: no feedback came since {last}, which was {became}. New feedback is needed, or other settings: "
            f"delete {last} to try these rows with them."
        )


def _sorted(rows: list[dict[str, Any]], rules: Any, rankings: str | None) -> tuple[SortedFeedback, int]:
    pairs = ranked_pairs(rules.rankings, rules.pairs_per_prompt) if rankings is not None else []
    return sort_feedback(rows, rules), len(pairs)


def _counts(found: SortedFeedback, pairs: int) -> dict[str, int]:
    return {
        "corrections": len(found.corrections),
        "comparisons": len(found.comparisons) + pairs,
        "thumbs": len(found.thumbs),
    }


def _told(found: SortedFeedback, pairs: int, fewest: Mapping[str, int]) -> str:
    counted = ", ".join(f"{count} {name} of {fewest[name]}" for name, count in _counts(found, pairs).items())
    dropped = found.counts()["dropped"]
    lost = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())
    return counted + (f" ({lost} dropped)" if lost else "")
