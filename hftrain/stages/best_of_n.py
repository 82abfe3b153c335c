"""Train a chat model on the best of its own answers: chat/ + reward/ + corpus/ -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.alignment.policy_settings import BestConfig
from hftrain.artifacts import stage
from hftrain.stages import OWNED_TRAINING, ROWS_ARE_TOKENS


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig(BestConfig):
    """How many answers are written, which are picked, and how far the model is trained on them."""

    SECTION: ClassVar[str] = "best_of_n"
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.sft_config:SFTConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING
        | ROWS_ARE_TOKENS
        | {"packing", "padding_free", "assistant_only_loss", "completion_only_loss", "dataset_kwargs"}
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 2,
            "per_device_train_batch_size": 16,
            "learning_rate": 3e-4,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,
        }
    )
    """SFTConfig, by TRL's names."""


@stage(makes="policy", reads=("chat", "reward", "corpus"), optional=("reward",), every_process=True)
def best_of_n(config: BestOfNConfig, *, chat: Path, reward: Path | None, corpus: Path, out: Path) -> None:
    """Answer each prompt several times, keep the best answer, and train on what was kept."""
    from trl import SFTConfig, SFTTrainer

    from hftrain.alignment.best_of_n import train_on_best

    train_on_best(SFTTrainer, SFTConfig, config, chat=chat, reward=reward, corpus=corpus, out=out)
