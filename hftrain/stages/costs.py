"""What stages take: seconds, memory and disk, as their manifests say."""

import dataclasses
import math
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

STEPS = 6
"""Of a training that is only timed."""
LOGGED = 2


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
        return self.bytes_below("")

    def bytes_below(self, *begins: str) -> int:
        """Of its files, those whose path begins so."""
        return sum(each["bytes"] for path, each in self.manifest["files"].items() if path.startswith(begins))

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
    for name, artifact in ARTIFACTS.items():
        if (run_dir / artifact / "manifest.json").is_file():
            ran = Ran(run_dir / artifact)
            made_by = str(ran.manifest["stage"]) if artifact == "policy" else name
            found[made_by] = ran.line(made_by, ran.seconds, "recorded")
    return found


def mebibytes(size: float) -> str:
    """A size in MiB, for a table."""
    return f"{size / 2**20:,.0f}"


def few_steps(training: Mapping[str, Any]) -> dict[str, Any]:
    """The same training, ended after a few steps; what its schedule says of its end is left out."""
    left = {name: value for name, value in training.items() if name not in ("lr_scheduler_kwargs", "warmup_steps")}
    few = {"max_steps": STEPS, "logging_steps": LOGGED, "save_steps": STEPS, "lr_scheduler_type": "constant"}
    return left | few


def batch_of(training: Mapping[str, Any]) -> int:
    """Rows in a step of one process."""
    return int(training.get("per_device_train_batch_size", 8)) * int(training.get("gradient_accumulation_steps", 1))


def steps_of(training: Mapping[str, Any], rows: float) -> int:
    """Steps of a training on so many rows."""
    given = int(training.get("max_steps", -1))
    return given if given > 0 else math.ceil(float(training.get("num_train_epochs", 3)) * rows / batch_of(training))


def grown(small: tuple[float, float], large: tuple[float, float], amount: float) -> float:
    """What an amount costs, from two smaller ones and what each cost: along a line, and more never costs less."""
    slope = max(0.0, (large[1] - small[1]) / max(1.0, large[0] - small[0]))
    return large[1] + slope * (amount - large[0])


def around(ran: Ran) -> float:
    """Seconds of a stage before and after its training."""
    return ran.seconds - float(ran.manifest["measured"]["train_seconds"])


def training_line(ran: Ran, name: str, steps: int, look_every: int | None, of: str, more: float = 0.0) -> Line:
    """Seconds: what stands around the training, its steps, and its looks, of which the probe took two."""
    measured = ran.manifest["measured"]
    step = measured["seconds_per_step"]
    look = max(0.0, measured["train_seconds"] - STEPS * step) / 2
    looks = 0 if look_every is None else 1 + math.ceil(steps / look_every)
    checkpoints = 2 * (measured["checkpoint_bytes"] or 0)
    counted = (
        f"{steps:,} steps of {step:.3f} s ({of}), {looks} looks of {look:.1f} s, {mebibytes(checkpoints)} MiB meanwhile"
    )
    return ran.line(name, around(ran) + steps * step + looks * look + more, counted)
