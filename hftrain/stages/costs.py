"""What stages take: seconds, memory and disk, as their manifests say."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftrain.artifacts import read_manifest
from hftrain.files import read_json

ARTIFACTS = {
    "collect": "raw", "curate": "corpus", "train_tokenizer": "tokenizer", "pretrain": "base", "sft": "chat",
    "collect_preferences": "preferences", "reward_model": "reward", "ppo": "policy", "distill": "student",
    "export": "export", "evaluate_model": "evaluation",
}  # fmt: skip
"""The artifact that each stage of a flow makes, in their order; in ppo's place stands whatever makes the policy."""


@dataclasses.dataclass(frozen=True)
class Line:
    """What one stage will take."""

    stage: str
    seconds: float
    memory_bytes: int
    disk_bytes: float
    counted: str


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a probe of a stage took, from its manifest."""

    folder: Path

    @property
    def manifest(self) -> Mapping[str, Any]:
        """All that it says."""
        return read_manifest(self.folder)

    @property
    def seconds(self) -> float:
        """The stage from its start to its end."""
        return float(self.manifest["seconds"])

    @property
    def disk_bytes(self) -> int:
        """Its files."""
        return sum(each["bytes"] for each in self.manifest["files"].values())

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its own account."""
        found: Mapping[str, Any] = read_json(self.folder / "summary.json")
        return found

    def line(self, name: str, seconds: float, counted: str, *, disk_bytes: float | None = None) -> Line:
        """A line with this probe's memory."""
        disk = self.disk_bytes if disk_bytes is None else disk_bytes
        return Line(name, seconds, self.manifest["peak_memory_bytes"] or 0, disk, counted)


def recorded(run_dir: Path) -> dict[str, Line]:
    """What the finished stages of a run took, as their manifests say."""
    found = {}
    for artifact in ARTIFACTS.values():
        if (run_dir / artifact / "manifest.json").is_file():
            ran = Ran(run_dir / artifact)
            name = str(ran.manifest["stage"])
            found[name] = ran.line(name, ran.seconds, "recorded")
    return found


def mebibytes(size: float) -> str:
    """A size in MiB, for a table."""
    return f"{size / 2**20:,.0f}"
