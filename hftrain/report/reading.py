"""What is on disk of a run, read so that nothing missing, cut or odd stops the page."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from hftrain.artifacts import MANIFEST

KINDS = (
    "raw",
    "corpus",
    "tokenizer",
    "base",
    "chat",
    "preferences",
    "reward",
    "policy",
    "student",
    "export",
    "evaluation",
)
"""The artifacts of the flow in the order in which they are made."""

UNFINISHED, REPLACED = ".partial", ".replaced"
State = Literal["finished", "unfinished", "missing"]


@dataclass(frozen=True)
class Artifact:
    """One folder of the run, finished or not."""

    name: str
    folder: Path
    state: State
    is_being_remade: bool = False
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest that its manifest states; empty where it states none."""
        digest = self.manifest.get("digest")
        return digest if isinstance(digest, str) else ""

    @cached_property
    def failure(self) -> Mapping[str, Any]:
        """How its unfinished making ended with an error: ``error`` and ``said``; empty where it did not."""
        path = self.folder.with_name(self.name + UNFINISHED) / "ended.json"
        return as_mapping(_parsed(_bytes_of(path)))

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """Its headline numbers."""
        return self.values("summary.json")

    @cached_property
    def metrics(self) -> list[Mapping[str, Any]]:
        """Its training log, one row a step."""
        return list(self.rows("metrics.jsonl"))

    def values(self, name: str) -> Mapping[str, Any]:
        """The object in a JSON file; empty where there is none."""
        return as_mapping(self.content(name))

    def content(self, name: str) -> Any:
        """Whatever a JSON file holds; None where it cannot be read."""
        return _parsed(_bytes_of(self.folder / name)) if self.state == "finished" else None

    def rows(self, name: str, limit: int | None = None) -> Iterator[Mapping[str, Any]]:
        """The objects of a JSON Lines file, at most ``limit``; lines that are none are passed over."""
        path = self.folder / name
        if self.state != "finished" or not path.is_file():
            return
        with path.open("rb") as file:  # binary lines end at \n only
            for line in islice(file, limit):
                found = _parsed(line)
                if isinstance(found, Mapping):
                    yield found


@dataclass(frozen=True)
class Run:
    """A run folder: the flow's artifacts, there or not, and whatever else was made beside them."""

    folder: Path
    artifacts: Mapping[str, Artifact]

    def __getitem__(self, name: str) -> Artifact:
        return self.artifacts[name]

    @property
    def finished(self) -> list[Artifact]:
        """The artifacts that are whole."""
        return [artifact for artifact in self.artifacts.values() if artifact.state == "finished"]


def read_run(run_dir: Path) -> Run:
    """Look at every artifact of a run; only manifests are read."""
    here = {path.name for path in run_dir.iterdir() if path.is_dir()} if run_dir.is_dir() else set()
    others = {
        name for name in here if not name.endswith((UNFINISHED, REPLACED)) and (run_dir / name / MANIFEST).is_file()
    }
    names = [*KINDS, *sorted(others - set(KINDS))]
    return Run(run_dir, {name: _artifact(run_dir, name, here) for name in names})


def state_key(run: Run, *more: object) -> str:
    """A digest of what the page would show: every manifest, what is unfinished, and ``more``."""
    digest = hashlib.sha256(repr(more).encode())
    for name, artifact in run.artifacts.items():
        seen = [name, artifact.state, artifact.is_being_remade, artifact.failure, artifact.manifest]
        digest.update(json.dumps(seen, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def at(values: object, *keys: str) -> Any:
    """The value under nested keys, or None where any of them is missing."""
    for key in keys:
        if not isinstance(values, Mapping):
            return None
        values = values.get(key)
    return values


def as_list(value: object) -> list[Any]:
    """The list, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def as_mapping(value: object) -> Mapping[str, Any]:
    """The mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def objects_in(value: object) -> dict[str, Mapping[str, Any]]:
    """What of a mapping is a mapping itself: name -> numbers of a model, of a format."""
    return {name: part for name, part in as_mapping(value).items() if isinstance(part, Mapping)}


def _artifact(run_dir: Path, name: str, here: set[str]) -> Artifact:
    folder = run_dir / name
    is_unfinished = name + UNFINISHED in here
    manifest = _parsed(_bytes_of(folder / MANIFEST))
    if isinstance(manifest, Mapping):
        return Artifact(name, folder, "finished", is_unfinished, manifest)
    return Artifact(name, folder, "unfinished" if is_unfinished else "missing")


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
