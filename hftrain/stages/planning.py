"""What a run will take, before it starts: minutes, memory and disk of each stage, from the stages themselves.

Each stage runs here on a piece of its work, in a folder of its own: the documents of a few seconds' reading, a few
steps of the run's own model and batch, a few prompts. What one unit took is multiplied by how many the run has; both
stand in the line, so that an estimate can be judged. A probe that runs the stage's own code stays true to it.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from hftrain.models.room import check_plan_fits, free_memory_bytes
from hftrain.runtime import log, progress
from hftrain.stages import probing_policies
from hftrain.stages.costs import Line, mebibytes, recorded
from hftrain.stages.flow import FlowConfig
from hftrain.stages.probing import Probe

REPORT_SECONDS = 2.0


def plan_lines(flow: FlowConfig, run_dir: Path | None = None) -> Iterator[str]:
    """The plan of a flow as lines of text; beside it, what the stages that ``run_dir`` has finished really took.

    Raises:
        ConfigError: After the last line: this machine has no room for it.
    """
    took, free = {} if run_dir is None else recorded(run_dir), free_memory_bytes()
    with tempfile.TemporaryDirectory() as folder:
        lines = plan(flow, Path(folder))
    heads = ("minutes", "MiB held", "MiB on disk", *(("took", "off by", "held", "on disk") if took else ()))
    yield f"{'stage':20}" + "".join(f"{head:>12}" for head in heads) + "   counted"
    for line in lines:
        cells = [f"{line.seconds / 60:.2f}", mebibytes(line.memory_bytes), mebibytes(line.disk_bytes)]
        if took:
            real = took.get(line.stage)
            cells += ["", "", "", ""] if real is None else _compared(line, real)
        yield f"{line.stage:20}" + "".join(f"{cell:>12}" for cell in cells) + f"   {line.counted}"
    sums = sums_of(lines)
    yield (
        f"{'in all':20}{sums['seconds'] / 60:12.2f}"
        f"{mebibytes(sums['memory_bytes']):>12}{mebibytes(sums['disk_bytes']):>12}"
    )
    check_plan_fits(lines, run_dir or Path("runs"), free_bytes=free)


def plan_json(flow: FlowConfig, run_dir: Path | None = None) -> dict[str, Any]:
    """The same as plain values: seconds and bytes by stage, planned, and taken where ``run_dir`` has finished it.

    Raises:
        ConfigError: This machine has no room for it.
    """
    took, free = {} if run_dir is None else recorded(run_dir), free_memory_bytes()
    with tempfile.TemporaryDirectory() as folder:
        lines = plan(flow, Path(folder))
    check_plan_fits(lines, run_dir or Path("runs"), free_bytes=free)
    return {
        "stages": {
            line.stage: asdict(line) | ({"took": asdict(took[line.stage])} if line.stage in took else {})
            for line in lines
        },
        **sums_of(lines),
    }


def sums_of(lines: Sequence[Line]) -> dict[str, float]:
    """What a whole flow takes: ``seconds`` and ``disk_bytes`` of all stages, ``memory_bytes`` of the largest."""
    return {
        "seconds": sum(line.seconds for line in lines),
        "memory_bytes": max(line.memory_bytes for line in lines),
        "disk_bytes": sum(line.disk_bytes for line in lines),
    }


def plan(flow: FlowConfig, folder: Path) -> list[Line]:
    """Probe every stage of a flow below ``folder``; a line each, in their order."""
    probe = Probe(flow, folder)
    steps: Sequence[Callable[[], Line]] = (
        probe.collect, probe.curate, probe.train_tokenizer, probe.pretrain, probe.sft,
        partial(probing_policies.preferences, probe), partial(probing_policies.reward, probe),
        partial(probing_policies.policy, probe), partial(probing_policies.student, probe),
        probe.export, probe.evaluate_model,
    )  # fmt: skip
    level = log.level
    log.setLevel(logging.ERROR)  # what a probe of a few steps warns of is no news
    try:
        lines = [step() for step in progress(steps, unit="stage", description="plan")]
    finally:
        log.setLevel(level)
    return [*lines, Line("report", REPORT_SECONDS, 0, 0, "a page of what the others wrote")]


def _compared(line: Line, real: Line) -> list[str]:
    held = f"{line.memory_bytes / real.memory_bytes - 1:+.0%}" if real.memory_bytes else ""
    disk = f"{line.disk_bytes / real.disk_bytes - 1:+.0%}" if real.disk_bytes else ""
    return [f"{real.seconds / 60:.2f}", f"{line.seconds / real.seconds - 1:+.0%}", held, disk]
