"""base + corpus -> chat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.stages import OWNED_TRAINING

# What is trained on is decided by the rows, which are checked; upstream's own ways to decide it would not be.
ROWS_DECIDE = frozenset(
    {"max_length", "packing", "padding_free", "assistant_only_loss", "completion_only_loss", "dataset_kwargs"}
)


@dataclass(frozen=True, kw_only=True)
class SFTStageConfig(StageConfig):
    """How a base model learns to answer."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.sft_config:SFTConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING | ROWS_DECIDE}

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 20,
        }
    )
    """SFTConfig, by TRL's names."""

    max_row_tokens: int | None = None
    """Longer conversations are left out and counted, not cut. Not set: the model's context."""

    max_dropped_share: float = 0.05
    """The stage refuses when a larger share of the conversations would be left out."""

    heldout_conversations: int = 200
    """How many held-out conversations the answers are measured on."""

    look_every_steps: int = 50
    """How often, while training, held-out answers are measured and sampled, in steps."""

    new_tokens: int = 48
    """Longest answer when sampling, in tokens; one that is not over by then counts as not ended."""


@stage(makes="chat", reads=("base", "corpus"), every_process=True)
def sft(config: SFTStageConfig, *, base: Path, corpus: Path, out: Path) -> None:
    """Train a base model to answer: loss on assistants' words and their end of turn alone."""
    from trl import SFTConfig, SFTTrainer

    from hftrain.corpus.splits import conversations_of
    from hftrain.models.loading import load_causal_lm
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.answering import AnswerWatch, answer_rows, check_batch, publish_chat, row_limit
    from hftrain.training.arguments import training_arguments
    from hftrain.training.callbacks import LookEvery
    from hftrain.training.loop import run_trainer

    ours = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    args = training_arguments(SFTConfig, config.training | ours, out, seed=config.seed or 0, section="sft")
    tokenizer, model = load_tokenizer(base), load_causal_lm(base)
    limit = row_limit(model, config.max_row_tokens)
    talks = conversations_of(corpus, "train")
    dataset, labelled = answer_rows(
        tokenizer, talks, max_row_tokens=limit, max_dropped_share=config.max_dropped_share, out=out
    )
    watch = AnswerWatch(
        tokenizer, corpus, limit=config.heldout_conversations, max_row_tokens=limit, new_tokens=config.new_tokens
    )
    before = watch.score(model)
    look = LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")
    trainer = SFTTrainer(model, args, train_dataset=dataset, processing_class=tokenizer, callbacks=[look])
    check_batch(trainer, tokenizer)
    run_trainer(trainer, out, description="sft")
    publish_chat(trainer, watch, labelled, before=before, out=out)
