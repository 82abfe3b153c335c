"""Which model of a run is promoted: one small file, replaced in one step, that a running server watches.

``promoted.json`` names the model and its digest, and keeps what came before it; without the file the run's own last
model that can talk is the promoted one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hftrain.errors import ArtifactError
from hftrain.files import read_json, write_json
from hftrain.manifests import MANIFEST, read_finished, read_manifest

PROMOTED = "promoted"
"""The name by which a server offers it."""
FILE = "promoted.json"
FORMAT = 1
SPEAKING = ("policy", "student", "chat")
"""The models of a run that can hold a conversation, the one to offer first."""


@dataclass(frozen=True)
class Promotion:
    """A model that is promoted, or was."""

    model: str
    """Its folder below the run's, such as ``policy`` or ``cycles/001/liked``."""
    digest: str
    """That of its artifact."""
    cycle: str | None = None
    """The cycle that made it; None for a model of the run itself."""


def promoted(run: Path) -> Promotion:
    """The model of a run that is promoted now.

    Raises:
        ArtifactError: The run holds no finished model that can talk, or the file is of another version.
    """
    stack = promotions(run)
    if stack:
        return stack[-1]
    for name in SPEAKING:
        if (run / name / MANIFEST).is_file():
            return Promotion(name, read_manifest(run / name)["digest"])
    raise ArtifactError(
        f"{run}: holds no finished model that can talk ({', '.join(SPEAKING)}). The folder of a run is needed. "
        "Train one first."
    )


def promotions(run: Path) -> list[Promotion]:
    """Those that are in effect, the first one lowest: one that was rolled back is no longer among them."""
    stack: list[Promotion] = []
    for entry in history(run):
        found = Promotion(entry["model"], entry["digest"], entry["cycle"])
        if entry["by"] == "rollback":
            stack = stack[: _place(stack, found) + 1]
        else:
            stack.append(found)
    return stack


def history(run: Path) -> list[Mapping[str, Any]]:
    """All that was promoted and rolled back, the first one first; empty before anything was.

    Raises:
        ArtifactError: The file is of another version.
    """
    path = run / FILE
    if not path.is_file():
        return []
    told = read_json(path)
    if told.get("format") != FORMAT:
        raise ArtifactError(
            f"{path}: has format {told.get('format')!r}; this version reads {FORMAT}. Read it with the version of "
            "hftrain that wrote it, or delete it to go back to the run's own model."
        )
    entries: list[Mapping[str, Any]] = told["history"]
    return entries


def promote(run: Path, model: str, cycle: str) -> Promotion:
    """Make a finished model the promoted one; a server that watches takes it up.

    Raises:
        ArtifactError: A file of it changed since it was made.
    """
    first = [] if (run / FILE).is_file() else [_entry(promoted(run), "start")]
    made = Promotion(model, _whole(run / model)["digest"], cycle)
    _write(run, [*history(run), *first, _entry(made, "cycle")])
    return made


def rollback(run: Path, out: TextIO, *, to: str | None = None) -> None:
    """Go back to the model that was promoted before, or to an earlier one; says which that is.

    Raises:
        ArtifactError: There is no earlier one, or a file of it changed since it was made.
    """
    stack = promotions(run)
    earlier = stack[:-1]
    if not earlier:
        raise ArtifactError(
            f"{run}: {stack[-1].model + ' was promoted first' if stack else 'nothing was ever promoted'}. An earlier "
            "promotion is needed to go back to. Run `hftrain cycle` to make one."
        )
    found = next((each for each in reversed(earlier) if to in (None, each.model, each.cycle)), None)
    if found is None:
        known = ", ".join(each.model for each in earlier)
        raise ArtifactError(f"--to {to}: was not promoted before {stack[-1].model}. One of {known} is needed.")
    now = _whole(run / found.model)["digest"]
    if now != found.digest:
        raise ArtifactError(
            f"{run / found.model}: was made anew since it was promoted ({now[:19]}, then {found.digest[:19]}). The "
            "model that answered then is needed. Put it back, or name another by --to."
        )
    _write(run, [*history(run), _entry(found, "rollback")])
    out.write(f"promoted: {found.model} ({found.digest[:19]}), in the place of {stack[-1].model}\n")


def _place(stack: Sequence[Promotion], found: Promotion) -> int:
    return max(place for place, each in enumerate(stack) if each == found)


def _whole(folder: Path) -> Mapping[str, Any]:
    """The manifest of a model whose files are as they were made."""
    return read_finished(folder, read_manifest(folder)["kind"])


def _entry(given: Promotion, by: str) -> dict[str, Any]:
    return {**asdict(given), "by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")}


def _write(run: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    now = {name: entries[-1][name] for name in ("model", "digest", "cycle")}
    write_json(run / FILE, {"format": FORMAT, **now, "history": list(entries)})
