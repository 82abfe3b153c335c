"""Train a chat model on preferences directly, by DPO: chat/ + preferences/ + corpus/ -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.alignment.policy_settings import PairsConfig
from hftrain.artifacts import stage
from hftrain.stages import OWNED_TRAINING, ROWS_ARE_TOKENS


@dataclass(frozen=True, kw_only=True)
class DPOStageConfig(PairsConfig):
    """How far a policy is trained on pairs, and what it is measured on."""

    SECTION: ClassVar[str] = "dpo"
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.dpo_config:DPOConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | ROWS_ARE_TOKENS | {"truncation_mode", "padding_free", "pad_token"}
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 1,
            "per_device_train_batch_size": 16,
            "learning_rate": 2e-4,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "beta": 0.1,
            "loss_type": ["sigmoid", "sft"],
            "loss_weights": [1.0, 0.2],
        }
    )
    """DPOConfig, by TRL's names. ``beta`` prices the distance from the chat model: lower goes further. The ``sft`` part
    keeps the preferred answers themselves likely: by DPO's loss alone both answers of a pair grow unlikely, and with
    them the end of turn. Source: Pang et al. 2024, arXiv:2404.19733."""


@stage(makes="policy", reads=("chat", "preferences", "corpus"), every_process=True)
def dpo(config: DPOStageConfig, *, chat: Path, preferences: Path, corpus: Path, out: Path) -> None:
    """Make preferred answers likelier than rejected ones, measured from where the chat model stands."""
    from trl import DPOConfig, DPOTrainer

    from hftrain.alignment.preference_policy import TokenRows, as_pairs, train_on_pairs

    class Trainer(TokenRows, DPOTrainer):
        """DPO on rows of token ids."""

    folders = {"chat": chat, "preferences": preferences, "corpus": corpus, "out": out}
    train_on_pairs(Trainer, DPOConfig, config, {"max_length": None}, as_pairs, **folders)
