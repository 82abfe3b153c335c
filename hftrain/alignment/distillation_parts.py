"""The parts of a distillation in their order, each of which goes on where it was cut."""

import shutil
from pathlib import Path
from typing import Any

from transformers import Trainer

from hftrain.models.loading import load_causal_lm, save_model
from hftrain.runtime import is_main_process, rank_zero_first, wait_for_everyone
from hftrain.training.distillation import offline_trainer, student_rows
from hftrain.training.distillation_models import Begun
from hftrain.training.distillation_text import teacher_writes
from hftrain.training.distillation_watch import StudentWatch
from hftrain.training.loop import run_trainer

BY_TRL = ("on_policy", "cross_tokenizer")
"""Methods with a part of TRL's, after the student has learned from text."""


def first_folder(config: Any, out: Path) -> Path:
    """Where the part without TRL keeps its checkpoints: the artifact itself, where it is the only one."""
    return out / "scratch" / "first" if config.method in BY_TRL else out


def learn(config: Any, begun: Begun, watch: StudentWatch, corpus: Path, out: Path) -> tuple[Trainer, dict[str, int]]:
    """Train the student in as many parts as its method has; its weights are in the trainer that is returned.

    Raises:
        ConfigError: Upstream refuses an argument.
        DataError: There is too little text.
        Stopped: SIGTERM or Ctrl-C came; the step that was under way is saved.
    """
    if config.method == "text":
        written = teacher_writes(
            config.written, begun.teacher, begun.teacher_tokenizer, corpus, out, seed=config.seed or 0
        )
    else:
        written = None
    if config.method not in BY_TRL:
        rows, counts = student_rows(config, begun, corpus, out, out, written)
        trainer = offline_trainer(config, begun, rows, watch, out)
        run_trainer(trainer, out, description="distill")
        return trainer, counts
    if config.base is not None:
        watch.before(begun.student)
        student, counts = begun.student, {}
    else:
        student, counts = _first_part(config, begun, watch, corpus, out)
    from hftrain.alignment import distillation as by_trl  # trl takes seconds to import

    make = by_trl.on_policy_trainer if config.method == "on_policy" else by_trl.cross_tokenizer_trainer
    trainer = make(config, begun, student, watch, corpus, out)
    run_trainer(trainer, out, description=f"distill, {config.method.replace('_', ' ')}")
    return trainer, counts


def _first_part(config: Any, begun: Begun, watch: StudentWatch, corpus: Path, out: Path) -> tuple[Any, dict[str, int]]:
    """A student that has learned from text, from disk if that is done."""
    first = first_folder(config, out)
    done = first / "student"
    rows, counts = student_rows(config, begun, corpus, first, out, None)
    if (done / "config.json").is_file():
        watch.before(begun.student)
    else:
        trainer = offline_trainer(config, begun, rows, watch, first)
        run_trainer(trainer, first, description="distill, from text")
        with rank_zero_first():
            if is_main_process():
                partial = first / "student.partial"
                save_model(trainer.accelerator.unwrap_model(trainer.model), begun.tokenizer, partial)
                partial.rename(done)
        wait_for_everyone()
    if is_main_process():
        shutil.copyfile(first / "metrics.jsonl", out / "first_metrics.jsonl")
    return load_causal_lm(done), counts
