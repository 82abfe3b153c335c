"""Run a Trainer so that a kill at any moment costs at most the steps since its last checkpoint."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer

from hftrain.artifacts import record_measured, write_jsonl
from hftrain.runtime import is_main_process, log, wait_for_everyone
from hftrain.training.callbacks import (
    COMPLETE,
    MarkCompleteCheckpoints,
    ProgressLine,
    checkpoints_in,
    gather_samples,
    step_of,
)

# What differs between two runs of the same work, or restarts from zero when a run is resumed.
NOT_REPEATABLE = frozenset({"train_loss", "total_flos", "num_tokens", "epoch"})


def run_trainer(trainer: Trainer, out: Path, *, description: str) -> None:
    """Train from the last whole checkpoint (or the start) to the end; write ``metrics.jsonl`` and ``samples.jsonl``.

    The caller saves the model: what is published is its choice.
    """
    for upstream in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(upstream)
    trainer.add_callback(ProgressLine(description))
    trainer.add_callback(MarkCompleteCheckpoints())
    checkpoint = last_complete_checkpoint(out / "scratch")
    first_step = step_of(checkpoint) if checkpoint else 0
    if checkpoint:
        log.info("%s: goes on from step %d", description, first_step)
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if is_main_process():
        write_jsonl(out / "metrics.jsonl", _repeatable(trainer.state.log_history))
        gather_samples(out)
        seconds = time.monotonic() - began
        steps = trainer.state.global_step - first_step
        record_measured(out, train_seconds=seconds, seconds_per_step=seconds / steps if steps else None)


def last_complete_checkpoint(scratch: Path) -> Path | None:
    """The newest checkpoint that was written to its end; cut ones are removed first."""
    found = checkpoints_in(scratch)
    if is_main_process():
        for path in found:
            if not (path / COMPLETE).exists():
                shutil.rmtree(path)
    wait_for_everyone()
    return next((path for path in reversed(found) if (path / COMPLETE).exists()), None)


def _repeatable(history: list[dict[str, Any]]) -> list[Mapping[str, float]]:
    rows: list[Mapping[str, float]] = []
    for entry in history:
        row = {
            name: value
            for name, value in entry.items()
            if name not in NOT_REPEATABLE and not name.endswith(("_runtime", "_per_second"))
        }
        if set(row) != {"step"}:
            rows.append(row)
    return rows
