"""What a run will take, before it starts: minutes, memory and disk of each stage, from the stages themselves.

Each stage runs here on a piece of its work, in a folder of its own: the documents of a few seconds' reading, a few
steps of the run's own model and batch, a few prompts. What one unit took is multiplied by how many the run has; both
stand in the line, so that an estimate can be judged. A probe that runs the stage's own code stays true to it.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hftrain.runtime import log, progress
from hftrain.stages import probing_policies
from hftrain.stages.costs import Line, mebibytes, recorded
from hftrain.stages.flow import FlowConfig
from hftrain.stages.probing import Probe

REPORT_SECONDS = 2.0


def plan_lines(flow: FlowConfig, run_dir: Path | None = None) -> Iterator[str]:
    """The plan of a flow as lines of text; beside it, what the stages that ``run_dir`` has finished really took."""
    took = {} if run_dir is None else recorded(run_dir)
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
    yield (
        f"{'in all':20}{sum(line.seconds for line in lines) / 60:12.2f}"
        f"{mebibytes(max(line.memory_bytes for line in lines)):>12}{mebibytes(sum(x.disk_bytes for x in lines)):>12}"
    )


def plan(flow: FlowConfig, folder: Path) -> list[Line]:
    """Probe every stage of a flow below ``folder``; a line each, in their order."""
    probe = Probe(flow, folder)
    steps: Sequence[Callable[[], Line]] = (
        probe.collect, probe.curate, probe.train_tokenizer, probe.pretrain, probe.sft, probe.collect_preferences,
        probe.reward_model, partial(probing_policies.policy, probe), partial(probing_policies.student, probe),
        probe.export, probe.evaluate_model,
    )  # fmt: skip
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        lines = [step() for step in progress(steps, unit="stage", description="plan")]
    finally:
        log.setLevel(level)
    return [*lines, Line("report", REPORT_SECONDS, 0, 0, "a page of what the others wrote")]


def _compared(line: Line, real: Line) -> list[str]:
    held = f"{line.memory_bytes / real.memory_bytes - 1:+.0%}" if real.memory_bytes else ""
    disk = f"{line.disk_bytes / real.disk_bytes - 1:+.0%}" if real.disk_bytes else ""
    return [f"{real.seconds / 60:.2f}", f"{line.seconds / real.seconds - 1:+.0%}", held, disk]
