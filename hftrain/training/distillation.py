"""A student learns from text and, where that is asked for, from what its teacher makes of it."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, Trainer

from hftrain.models.budget import DECAY_SHARE
from hftrain.models.training_step import lighten
from hftrain.training.callbacks import LookEvery
from hftrain.training.distillation_loss import (
    Scores,
    Target,
    distillation_loss,
    learned_positions,
    next_token_nats,
    scores_of,
)
from hftrain.training.distillation_models import LAST_RATE_SHARE, START_ROWS, Begun, give_start
from hftrain.training.distillation_rows import MixedRows, Written, collate_mixed, mixed_rows
from hftrain.training.distillation_teacher import Teacher
from hftrain.training.distillation_watch import StudentWatch
from hftrain.training.optimizers import muon_for
from hftrain.training.time_budget import TimeBudget

ENDING_SECONDS = 3.0
"""For what comes after the last step beside measuring: saving, digests."""


@dataclass(frozen=True)
class Lesson:
    """What is learned of a batch."""

    where_BL: Tensor
    labels_T: Tensor
    alpha_T: Tensor
    teacher: Scores | None
    """Of the positions whose alpha is more than 0; None: there are none."""
    target: Target


class DistillationTrainer(Trainer):
    """Upstream's Trainer with a teacher: see `hftrain.training.distillation_loss`.

    The divergence is logged as ``teacher_kl``: nats a position, as a mean over the positions that have it.
    """

    def __init__(
        self,
        student: PreTrainedModel,
        teacher: Teacher,
        *,
        alpha: tuple[float, float],
        target: Target,
        **more: Any,
    ) -> None:
        """Take over the models; ``alpha`` is the teacher's weight in answers and in documents."""
        student.forward = functools.partial(_forward, student, student.forward)
        super().__init__(student, **more)
        self.teacher, self.target = teacher, target
        self.alpha = float(alpha[0]), float(alpha[1])
        self._metrics: dict[str, dict[str, list[float]]] = {"train": defaultdict(list)}

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The mean over what is learned in the step, all its batches and processes counted."""
        where_BL, labels_T = learned_positions(inputs["labels"])
        alpha_B = torch.where(inputs["conversation"] >= 0, *self.alpha)
        read = {name: inputs[name] for name in ("input_ids", "position_ids")}
        rows_B = alpha_B > 0
        teacher = None
        if bool(where_BL[rows_B].any()):
            taught = {name: value[rows_B] for name, value in (read | {"where_BL": where_BL}).items()}
            teacher = self.teacher.scores(inputs["conversation"][rows_B], **taught)
        alpha_T = alpha_B[:, None].expand_as(where_BL)[where_BL]
        loss, kl = model(**read, lesson=Lesson(where_BL, labels_T, alpha_T, teacher, self.target))
        if teacher is not None:
            self._metrics["train"]["teacher_kl"].append(float(kl) / len(teacher.hidden_TD))
        loss = loss / (len(labels_T) if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean divergence since the last line."""
        for name, values in self._metrics["train"].items():
            if values and "loss" in logs:
                logs[name] = sum(values) / len(values)
        if "loss" in logs:
            self._metrics["train"].clear()
        super().log(logs, start_time)


def _forward(student: Any, plain: Callable[..., Any], *given: Any, lesson: Lesson | None = None, **inputs: Any) -> Any:
    """Upstream's forward; with a lesson, the sums of loss and KL over its positions."""
    if lesson is None:
        return plain(*given, **inputs)
    scores = scores_of(student, lesson.where_BL, **inputs)
    if lesson.teacher is None:
        return next_token_nats(scores, lesson.labels_T), lesson.alpha_T.new_zeros(())
    taught_T = lesson.alpha_T > 0
    loss, kl = distillation_loss(
        scores.of(taught_T), lesson.teacher, lesson.labels_T[taught_T], lesson.alpha_T[taught_T], lesson.target
    )
    if not bool(taught_T.all()):
        loss = loss + next_token_nats(scores.of(~taught_T), lesson.labels_T[~taught_T])
    return loss, kl


def student_rows(
    config: Any, begun: Begun, corpus: Path, part: Path, out: Path, written: Written | None
) -> tuple[MixedRows, dict[str, int]]:
    """What the student reads; with the first of it, the student is given its start.

    Args:
        config: A ``DistillConfig``.
        begun: The student is changed.
        corpus: The corpus's folder.
        part: Keeps the rows.
        out: Is told what the student began with.
        written: By the teacher.

    Raises:
        DataError: There is too little text.
    """
    rows, counts = mixed_rows(
        corpus,
        begun.tokenizer,
        part / "scratch" / "rows",
        begun.args,
        row_tokens=begun.row_tokens,
        share=config.conversation_share,
        cache=out.parent / "cache",
        written=written,
    )
    some = range(min(START_ROWS, len(rows.documents)))
    give_start(begun, torch.stack([torch.as_tensor(rows[row]["input_ids"]).long() for row in some]), out)
    return rows, counts


def offline_trainer(config: Any, begun: Begun, rows: MixedRows, watch: StudentWatch, out: Path) -> Trainer:
    """A trainer with what the run asks for; teacher and student are measured before the first step.

    Raises:
        ConfigError: The launch cuts matrices that Muon needs whole.
    """
    began = time.monotonic()
    lighten(begun.student)
    watch.before(begun.student)
    measuring_seconds = time.monotonic() - began
    target = config.target
    alpha = (target.alpha, target.document_alpha) if config.method in ("logits", "on_policy") else (0.0, 0.0)
    teacher = Teacher(begun.teacher)
    if alpha[0] > 0 and len(rows.order) > len(rows.conversations):
        teacher.remember(rows.conversations, out / "scratch" / "teacher.npy")
    muon = None
    if config.optimizer == "muon":
        muon = muon_for(begun.args, matrix_learning_rate=begun.matrix_learning_rate, momentum=0.95)
    trainer = DistillationTrainer(
        begun.student,
        teacher,
        alpha=alpha,
        target=Target(target.beta, target.temperature, target.top_k),
        args=begun.args,
        train_dataset=rows,
        data_collator=collate_mixed,
        callbacks=[LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")],
        optimizer_cls_and_kwargs=muon,
    )
    if config.max_minutes is not None:
        budget = TimeBudget(
            60 * config.max_minutes,
            began=begun.began,
            reserved_seconds=2 * measuring_seconds + ENDING_SECONDS,
            decay_share=DECAY_SHARE,
            folder=out / "scratch",
        )
        trainer.lr_scheduler = budget.schedule(
            trainer.create_optimizer(), warmup_steps=begun.warmup_steps, end_share=LAST_RATE_SHARE
        )
        trainer.add_callback(budget)
    return trainer
