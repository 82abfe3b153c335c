"""Pretraining: rows, a Trainer with its optimizer and schedule, and what is published."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer

from hftrain.artifacts import write_json
from hftrain.models.budget import DECAY_SHARE
from hftrain.models.loading import parameter_count, save_model
from hftrain.runtime import is_main_process
from hftrain.tokens.packing import PackingAccount
from hftrain.training.callbacks import LookEvery
from hftrain.training.masking import masked_collator
from hftrain.training.optimizers import muon_for
from hftrain.training.rows import check_document_masking, collate_rows, rows_of
from hftrain.training.starting import Start
from hftrain.training.time_budget import TimeBudget
from hftrain.training.watching import Watch

ENDING_SECONDS = 3.0
"""For what comes after the last step beside scoring: merging, saving, digests."""


def pretraining_rows(config: Any, begun: Start, corpus: Path, out: Path) -> tuple[Dataset, PackingAccount]:
    """The training rows as a ``PretrainConfig`` asks for them, and what packing them cost.

    Raises:
        ConfigError: Documents are to be kept apart, and the model does not.
        DataError: The documents do not fill one row.
    """
    if config.document_masking:
        check_document_masking(begun.model)
    return rows_of(
        corpus,
        begun.tokenizer,
        out / "scratch" / "rows",
        begun.args,
        row_tokens=begun.row_tokens,
        packing=config.packing,
        document_masking=config.document_masking,
        cache=out.parent / "cache",
    )


def pretraining_trainer(config: Any, begun: Start, rows: Dataset, watch: Watch, out: Path) -> Trainer:
    """Upstream's Trainer with what the run asks for; the model is scored before its first step.

    Raises:
        ConfigError: The launch cuts matrices that Muon needs whole.
    """
    collate: Any = collate_rows
    callbacks: list[Any] = [LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")]
    if config.objective == "masked_words":
        wanted = config.masked_words
        collate = masked_collator(
            begun.tokenizer, share=wanted.share, whole_words=wanted.whole_words, seed=config.seed or 0
        )
        callbacks.append(collate)
    began = time.monotonic()
    watch.before(begun.model)
    scoring_seconds = time.monotonic() - began
    muon = None
    if config.optimizer.name == "muon" and not config.adapter:
        muon = muon_for(begun.args, matrix_learning_rate=begun.matrix_learning_rate, momentum=config.optimizer.momentum)
    trainer = Trainer(
        begun.model,
        begun.args,
        train_dataset=rows,
        data_collator=collate,
        callbacks=callbacks,
        optimizer_cls_and_kwargs=muon,
    )
    if config.max_minutes is not None:
        budget = TimeBudget(
            60 * config.max_minutes,
            began=begun.began,
            reserved_seconds=2 * scoring_seconds + ENDING_SECONDS,
            decay_share=DECAY_SHARE,
            folder=out / "scratch",
        )
        trainer.lr_scheduler = budget.schedule(
            trainer.create_optimizer(), warmup_steps=begun.warmup_steps, end_share=begun.last_rate_share
        )
        trainer.add_callback(budget)
    return trainer


def publish_base(
    config: Any, begun: Start, trainer: Trainer, watch: Watch, rows: Dataset, packing: PackingAccount, *, out: Path
) -> None:
    """Write the model, an adapter merged into it, and what it learned."""
    if not is_main_process():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if config.adapter:
        from hftrain.models.adapters import publish_adapter  # peft takes a second to import

        model = publish_adapter(model, out)
    save_model(model, begun.tokenizer, out)
    args, state = trainer.args, trainer.state
    rows_read = state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    tokens = rows_read * begun.row_tokens
    write_json(
        out / "summary.json",
        {
            "parameters": parameter_count(model),
            "steps": state.global_step,
            "train_tokens": tokens,
            "distinct_rows": len(rows),
            "packing": dataclasses.asdict(packing),
            **watch.summary(model, rows),
        },
    )
