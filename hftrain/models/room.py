"""Whether this machine has room for a run: memory for a training, memory and disk for what a plan says.

What a training needs at least is counted from its shape before anything is made: a run that cannot fit is refused
here, and not ended by the kernel hours later. Nothing here imports torch, unless a GPU is at hand.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hftrain.errors import ConfigError
from hftrain.models.shapes import NAMES
from hftrain.models.sizes import Derived

FLOAT_BYTES = 4
MOMENTS = {"muon": 1, "adamw": 2}
"""Numbers beside each weight that an optimizer keeps; Muon's of matrices, which are most."""
KEPT_WIDTHS = 6
"""Numbers kept a token and layer for the backward pass, in widths of the model, at least: the inputs of two norms, of
queries, keys and values together, of the output, and of the MLP with what it opens to. Korthikanti et al. 2022,
arXiv:2205.05198, equation 1, counts 34 bytes at 2 bytes a number: about three times as many."""

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
CGROUP_USED = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


class Needs(Protocol):
    """A line of a plan."""

    @property
    def stage(self) -> str:
        """Its stage."""

    @property
    def memory_bytes(self) -> int:
        """What it will hold."""

    @property
    def disk_bytes(self) -> float:
        """What it will write."""


def check_training_fits(derived: Derived) -> None:
    """Refuse a model and batch that cannot be trained in the memory that is free.

    Raises:
        ConfigError: It is less than the least that is needed.
    """
    names = NAMES[derived.model["model_type"]]
    width, layers = derived.model[names.width], derived.model[names.layers]
    rows = derived.training.get("per_device_train_batch_size", 1)
    weights = derived.parameters * FLOAT_BYTES * (2 + MOMENTS[derived.optimizer])
    recomputed = derived.training.get("gradient_checkpointing") or derived.training.get("activation_checkpointing")
    kept = rows * derived.row_tokens * width * layers * (1 if recomputed else KEPT_WIDTHS) * FLOAT_BYTES
    free = free_memory_bytes()
    if weights + kept > free:
        raise ConfigError(
            f"pretrain: needs at least {_gibibytes(weights + kept)} of memory, and {_gibibytes(free)} are free: "
            f"{_gibibytes(weights)} for {derived.parameters:,} parameters with their gradients and the optimizer's "
            f"moments, {_gibibytes(kept)} for {rows} rows of {derived.row_tokens:,} tokens at a time. As much as is "
            f"free, or less, is needed. Lower pretrain.{_largest(weights, kept)}, or take a machine with more."
        )


def check_plan_fits(lines: Sequence[Needs], run_dir: Path, *, free_bytes: int | None = None) -> None:
    """Refuse a planned run that this machine has no room for.

    Args:
        lines: What each stage will take.
        run_dir: Where the run will lie, there already or not.
        free_bytes: Memory that was free before the plan was made; None: what is free now.

    Raises:
        ConfigError: A stage needs more memory than there is, or the run more disk.
    """
    free = free_memory_bytes() if free_bytes is None else free_bytes
    largest = max(lines, key=lambda line: line.memory_bytes)
    if largest.memory_bytes > free:
        raise ConfigError(
            f"{largest.stage}: will hold {_gibibytes(largest.memory_bytes)} of memory, and {_gibibytes(free)} are "
            f"free. As much as is free, or less, is needed. Lower {largest.stage}.training."
            "per_device_train_batch_size where it trains (and raise gradient_accumulation_steps as much, which trains "
            "the same), or the size of model or corpus, or take a machine with more."
        )
    place = run_dir.absolute()
    while not place.is_dir():
        place = place.parent
    room, needed = shutil.disk_usage(place).free, sum(line.disk_bytes for line in lines)
    if needed > room:
        most = max(lines, key=lambda line: line.disk_bytes)
        raise ConfigError(
            f"{run_dir}: the run will take {_gibibytes(needed)} of disk, {_gibibytes(most.disk_bytes)} of it for "
            f"{most.stage}, and {_gibibytes(room)} are free. Room is needed. Make some, or name another folder by "
            "--run-dir."
        )


def free_memory_bytes() -> int:
    """What this process may still take: of the GPU where there is one, else of the machine or of its container."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return int(sys.modules["torch"].cuda.mem_get_info()[0])
    import psutil

    free = psutil.virtual_memory().available
    for limit, used in zip(CGROUP_LIMITS, CGROUP_USED, strict=True):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            free = min(free, max(0, int(Path(limit).read_text()) - int(Path(used).read_text())))
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        if allowed != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            free = min(free, max(0, allowed - pages * os.sysconf("SC_PAGE_SIZE")))
    return free


def _largest(weights: int, kept: int) -> str:
    if weights > kept:
        return "size"
    return "training.per_device_train_batch_size (and raise gradient_accumulation_steps as much, which trains the same)"


def _gibibytes(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:,.1f} MiB"
