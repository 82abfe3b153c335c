"""Train a chat model by GRPO on rewards of groups of its answers: chat/ + reward/ + corpus/ -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.alignment.policy_settings import GroupConfig
from hftrain.artifacts import stage
from hftrain.stages import ANSWERS_ARE_OURS, OWNED_TRAINING


@dataclass(frozen=True, kw_only=True)
class GRPOStageConfig(GroupConfig):
    """How far a policy is trained on its own answers, and what they are rewarded for."""

    SECTION: ClassVar[str] = "grpo"
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.grpo_config:GRPOConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING | ANSWERS_ARE_OURS}

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "max_steps": 96,
            "per_device_train_batch_size": 16,
            "steps_per_generation": 4,
            "num_generations": 8,
            "learning_rate": 3e-4,
            "lr_scheduler_type": "linear",
            "beta": 0.05,
            "save_steps": 32,
        }
    )
    """GRPOConfig, by TRL's names. Every steps_per_generation steps, that many times per_device_train_batch_size answers
    are written a process, num_generations to a prompt. ``reward_weights``: one weight for each of ``rewards``."""


@stage(makes="policy", reads=("chat", "reward", "corpus"), optional=("reward",), every_process=True)
def grpo(config: GRPOStageConfig, *, chat: Path, reward: Path | None, corpus: Path, out: Path) -> None:
    """Make answers likelier that are rewarded more than the others to the same prompt."""
    from trl import GRPOConfig, GRPOTrainer

    from hftrain.alignment.group_policy import GroupRollouts
    from hftrain.alignment.group_training import train_group

    class Trainer(GroupRollouts, GRPOTrainer):
        """GRPO that goes on exactly, on exact tokens, within a budget."""

    train_group(Trainer, GRPOConfig, config, chat=chat, reward=reward, corpus=corpus, out=out)
