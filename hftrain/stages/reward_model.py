"""Train a reward model: one number for an answer, higher for the one that was preferred."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from hftrain.artifacts import SCRATCH, stage
from hftrain.config import StageConfig
from hftrain.stages import OWNED_TRAINING

# Rows are encoded and checked by hftrain, so that a score is read where PPO will read it.
ROWS_DECIDE = frozenset(
    {
        "max_length",
        "remove_unused_columns",
        "length_column_name",
        "model_init_kwargs",
        "pad_token",
        "eos_token",
        "chat_template_path",
    }
)


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig(StageConfig):
    """How pairs become rows, and upstream's training arguments."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {
        "training": "trl.trainer.reward_config:RewardConfig",
        "adapter": "peft:LoraConfig",
    }
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | ROWS_DECIDE,
        "adapter": frozenset({"task_type"}),
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 6,
            "learning_rate": 5e-4,
            "per_device_train_batch_size": 8,
            "train_sampling_strategy": "group_by_length",
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,
            "weight_decay": 0.01,
            "center_rewards_coefficient": 0.01,
            "logging_steps": 10,
        }
    )
    """Arguments of TRL's RewardConfig by their names."""
    max_row_tokens: int | None = None
    """A pair with a longer row is dropped and counted; None takes the chat model's context."""
    max_dropped_share: float = 0.05
    """Refuse when more than this share of a split's pairs is too long."""
    use_margins: bool = False
    """Ask for a score difference of at least the judge's margin (Touvron et al. 2023, arXiv:2307.09288)."""
    word_dropout: float = 0.1
    """Share of the tokens left out, anew at each step of training, of those that one row of a pair alone has."""
    shared_word_dropout: float = 0.9
    """The same of those that both rows have, at most; 0 for both reads all. Against learning few pairs by heart."""
    start_from: Literal["chat", "base"] = "chat"
    """Whose body it starts with: the chat model's, or that of the base model which the chat model was made of."""
    adapter: dict[str, Any] = field(default_factory=dict)
    """peft's LoraConfig by its names: a few added matrices are trained and merged at the end. Empty: all weights."""
    ensemble: int = 1
    """So many models are trained, and the mean of their weights is published, the single ones in ``members/``."""

    def problems(self) -> list[str]:
        """Values that cannot be."""
        found = []
        if self.max_row_tokens is not None and self.max_row_tokens < 1:
            found.append(
                f"reward_model.max_row_tokens: {self.max_row_tokens}. 1 or more is needed. "
                "Remove it to take the chat model's context."
            )
        for name in ("max_dropped_share", "word_dropout", "shared_word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                found.append(
                    f"reward_model.{name}: {getattr(self, name)}. A share from 0 to below 1 is needed. Change it."
                )
        if self.ensemble < 1:
            found.append(f"reward_model.ensemble: {self.ensemble}. 1 or more is needed. Change it or remove it.")
        return found


@stage(makes="reward", reads=("chat", "preferences"), every_process=True)
def reward_model(config: RewardModelConfig, *, chat: Path, preferences: Path, out: Path) -> None:
    """Train the chat model's body under a scalar head on pairs, and measure it on held-out pairs."""
    from transformers import Trainer
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    from hftrain.alignment.reward import new_reward_model, score_pairs
    from hftrain.alignment.reward_rows import TRAINED, write_pair_rows
    from hftrain.alignment.reward_training import (
        publish_diagnostics,
        start_folder,
        train_members,
        trainable_reward_model,
    )
    from hftrain.corpus.storage import read_rows
    from hftrain.models.loading import context_tokens
    from hftrain.runtime import is_main_process, rank_zero_first
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.arguments import training_arguments

    seed, tokenizer, start = config.seed or 0, load_tokenizer(chat), start_folder(chat, config.start_from)
    fresh = new_reward_model(start, pad_token_id=tokenizer.pad_token_id, seed=seed)
    rows = out / SCRATCH / "rows"
    with rank_zero_first():
        if is_main_process():
            write_pair_rows(
                rows,
                preferences,
                tokenizer,
                context_tokens=context_tokens(fresh),
                max_row_tokens=config.max_row_tokens,
                max_dropped_share=config.max_dropped_share,
            )
    train, heldout = read_rows(rows / "train"), read_rows(rows / "heldout")
    before = score_pairs(fresh, heldout)

    def trainer(member: int) -> Trainer:
        ours = {"max_length": None, "remove_unused_columns": False}
        args = training_arguments(RewardConfig, config.training | ours, out, seed=seed + member, section="reward_model")
        model = trainable_reward_model(
            start,
            tokenizer,
            adapter=config.adapter,
            word_dropout=config.word_dropout,
            shared_word_dropout=config.shared_word_dropout,
            seed=seed,
        )
        columns = [*TRAINED, "margin"] if config.use_margins else list(TRAINED)
        return RewardTrainer(
            model=model,
            args=args,
            train_dataset=train.select_columns(columns),
            eval_dataset=heldout.select_columns(list(TRAINED)),
            processing_class=tokenizer,
        )

    train_members(trainer, config.ensemble, tokenizer, out)
    if is_main_process():
        publish_diagnostics(out, preferences, train, heldout, before)
