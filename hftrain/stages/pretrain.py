"""corpus + tokenizer -> base."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.stages import OWNED_TRAINING


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(StageConfig):
    """What model to train from random weights, and how."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "transformers.training_args:TrainingArguments"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING}

    model: dict[str, Any] = field(default_factory=dict)
    """``model_type`` and the model's configuration, by transformers' names. Empty: a Llama of 4 layers, 192 wide. The
    size of the table comes from the tokenizer, the context from ``row_tokens``, unless they are given here."""

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "max_steps": 600,
            "per_device_train_batch_size": 16,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": 150, "min_lr_ratio": 0.02},
            "warmup_steps": 30,
            "weight_decay": 0.1,
            "adam_beta2": 0.95,
            "max_grad_norm": 1.0,
        }
    )
    """TrainingArguments, by transformers' names."""

    row_tokens: int = 256
    """Tokens in a training row."""

    heldout_bytes: int = 200_000
    """How much held-out text the bits per byte are measured on, in UTF-8 bytes."""

    look_every_steps: int = 100
    """How often, while training, bits per byte and samples are taken, in steps."""

    look_bytes: int = 40_000
    """How much of the held-out text is read at each look, in UTF-8 bytes."""

    sample_prompts: tuple[str, ...] = ("Returns the", "This class", "If the file does not exist,")
    """How texts begin that the model goes on with at each look."""


@stage(makes="base", reads=("corpus", "tokenizer"), every_process=True)
def pretrain(config: PretrainConfig, *, corpus: Path, tokenizer: Path, out: Path) -> None:
    """Train a causal language model from random weights; score it on held-out text before and after."""
    from transformers import Trainer, TrainingArguments

    from hftrain.models.loading import new_causal_lm
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.arguments import training_arguments
    from hftrain.training.callbacks import LookEvery
    from hftrain.training.loop import run_trainer
    from hftrain.training.pretraining import Watch, publish_base
    from hftrain.training.rows import collate_rows, rows_of

    vocabulary = load_tokenizer(tokenizer)
    args = training_arguments(TrainingArguments, config.training, out, seed=config.seed or 0, section="pretrain")
    model = new_causal_lm(config.model, vocabulary, context_tokens=config.row_tokens)
    rows = rows_of(corpus, vocabulary, out / "scratch" / "rows", args, row_tokens=config.row_tokens)
    watch = Watch(
        vocabulary,
        corpus,
        row_tokens=config.row_tokens,
        heldout_bytes=config.heldout_bytes,
        look_bytes=config.look_bytes,
        prompts=config.sample_prompts,
    )
    before = watch.score(model)
    look = LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")
    trainer = Trainer(model, args, train_dataset=rows, data_collator=collate_rows, callbacks=[look])
    run_trainer(trainer, out, description="pretrain")
    publish_base(trainer, watch, rows, before=before, out=out)
