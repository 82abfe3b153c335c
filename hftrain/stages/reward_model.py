"""Train a reward model: one number for an answer, higher for the one that was preferred."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.artifacts import SCRATCH, read_json, stage, write_json
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

    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.reward_config:RewardConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING | ROWS_DECIDE}

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 2,
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

    def problems(self) -> list[str]:
        """Values that cannot be."""
        found = []
        if self.max_row_tokens is not None and self.max_row_tokens < 1:
            found.append(
                f"reward_model.max_row_tokens: {self.max_row_tokens}. 1 or more is needed. "
                "Remove it to take the chat model's context."
            )
        if not 0 <= self.max_dropped_share < 1:
            found.append(
                f"reward_model.max_dropped_share: {self.max_dropped_share}. "
                "A share from 0 to below 1 is needed. Change it."
            )
        return found


@stage(makes="reward", reads=("chat", "preferences"), every_process=True)
def reward_model(config: RewardModelConfig, *, chat: Path, preferences: Path, out: Path) -> None:
    """Train the chat model's body under a scalar head on pairs, and measure it on held-out pairs."""
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    from hftrain.alignment.reward import (
        load_reward_model,
        margin_histogram,
        new_reward_model,
        score_pairs,
        summarize,
    )
    from hftrain.alignment.reward_rows import write_pair_rows
    from hftrain.corpus.storage import read_rows
    from hftrain.models.loading import context_tokens, save_model
    from hftrain.runtime import is_main_process, rank_zero_first
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.arguments import training_arguments
    from hftrain.training.loop import run_trainer

    tokenizer = load_tokenizer(chat)
    model = new_reward_model(chat, pad_token_id=tokenizer.pad_token_id, seed=config.seed or 0)
    rows = out / SCRATCH / "rows"
    with rank_zero_first():
        if is_main_process():
            write_pair_rows(
                rows,
                preferences,
                tokenizer,
                context_tokens=context_tokens(model),
                max_row_tokens=config.max_row_tokens,
                max_dropped_share=config.max_dropped_share,
            )
    train, heldout = read_rows(rows / "train"), read_rows(rows / "heldout")
    before = score_pairs(model, heldout)
    trainer = RewardTrainer(
        model=model,
        args=training_arguments(
            RewardConfig,
            config.training | {"max_length": None, "remove_unused_columns": False},
            out,
            seed=config.seed or 0,
            section="reward_model",
        ),
        train_dataset=train if config.use_margins else train.remove_columns("margin"),
        eval_dataset=heldout.remove_columns("margin"),
        processing_class=tokenizer,
    )
    run_trainer(trainer, out, description="reward_model")
    if is_main_process():
        save_model(trainer.accelerator.unwrap_model(trainer.model), tokenizer, out)
        after = score_pairs(load_reward_model(out), heldout)
        write_json(out / "margins.json", margin_histogram(before, after))
        counts = read_json(rows / "counts.json")
        numbers = summarize(heldout, before, after, prompts=counts["heldout_prompts"])
        write_json(out / "summary.json", counts | numbers)
