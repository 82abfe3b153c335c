"""Train a chat model on answers that are desirable or not, by KTO: chat/ + preferences/ + corpus/ -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.alignment.policy_settings import PairsConfig, Rules
from hftrain.artifacts import stage
from hftrain.stages import OWNED_TRAINING, ROWS_ARE_TOKENS


@dataclass(frozen=True, kw_only=True)
class KTOStageConfig(PairsConfig):
    """How far a policy is trained on labelled answers, and what it is measured on."""

    SECTION: ClassVar[str] = "kto"
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.kto_config:KTOConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | ROWS_ARE_TOKENS | {"train_sampling_strategy"}
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 1,
            "per_device_train_batch_size": 16,
            "learning_rate": 5e-5,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "beta": 0.1,
        }
    )
    """KTOConfig, by TRL's names. ``beta`` prices the distance from the chat model: lower goes further."""

    def rules(self) -> Rules:
        """What each value must be."""
        rows = self.training.get("per_device_train_batch_size", 8)
        return super().rules() | {
            "training.per_device_train_batch_size": (
                rows >= 2,
                "2 or more answers, to compare with each other, are needed",
            )
        }


@stage(makes="policy", reads=("chat", "preferences", "corpus"), every_process=True)
def kto(config: KTOStageConfig, *, chat: Path, preferences: Path, corpus: Path, out: Path) -> None:
    """Make desirable answers likelier and the others less so, measured from where the chat model stands."""
    from trl import KTOConfig, KTOTrainer

    from hftrain.alignment.preference_policy import TokenRows, train_on_pairs
    from hftrain.alignment.unpaired import as_unpaired

    class Trainer(TokenRows, KTOTrainer):
        """KTO on rows of token ids."""

    ours = {"max_length": None, "train_sampling_strategy": "sequential"}
    folders = {"chat": chat, "preferences": preferences, "corpus": corpus, "out": out}
    train_on_pairs(Trainer, KTOConfig, config, ours, as_unpaired, **folders)
