"""Train on answers that people liked or not, by KTO: a model + feedback/ + corpus/ (+ preferences/) -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hftrain.alignment.policy_settings import PairsConfig, Rules
from hftrain.artifacts import read_manifest, stage
from hftrain.stages import OWNED_TRAINING, ROWS_ARE_TOKENS


@dataclass(frozen=True, kw_only=True)
class LearnThumbsConfig(PairsConfig):
    """How far a model is trained on thumbs, and what it is measured on."""

    SECTION: ClassVar[str] = "learn_thumbs"
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.trainer.kto_config:KTOConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | ROWS_ARE_TOKENS | {"train_sampling_strategy"}
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "learning_rate": 5e-5,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "beta": 0.1,
        }
    )
    """KTOConfig, by TRL's names. ``beta`` prices the distance from the model it starts from: lower goes further;
    ``desirable_weight`` and ``undesirable_weight`` make up for many more thumbs of one kind than of the other."""

    old_share: float = 0.25
    """Of the answers that are trained on, how many are of the run's old pairs, if it has some."""

    def rules(self) -> Rules:
        """What each value must be."""
        rows = self.training.get("per_device_train_batch_size", 8)
        return super().rules() | {
            "training.per_device_train_batch_size": (
                rows >= 2,
                "2 or more answers, to compare with each other, are needed",
            ),
            "old_share": (0 <= self.old_share < 1, "A share from 0 to below 1 is needed"),
        }


def learn_thumbs(
    config: LearnThumbsConfig, *, model: Path, feedback: Path, preferences: Path, corpus: Path, out: Path
) -> Path:
    """Make answers that people liked likelier and the others less so, measured from where ``model`` stands.

    ``model`` is any finished model; ``preferences`` may be missing.
    """
    kind = read_manifest(model)["kind"]
    reads = (kind, "feedback", "preferences", "corpus")
    made = stage(makes="policy", reads=reads, optional=("preferences",), every_process=True)(_learn_thumbs)
    return made(config, out=out, feedback=feedback, preferences=preferences, corpus=corpus, **{kind: model})


def _learn_thumbs(
    config: LearnThumbsConfig, *, feedback: Path, preferences: Path | None, corpus: Path, out: Path, **model: Path
) -> None:
    from trl import KTOConfig, KTOTrainer

    from hftrain.alignment.feedback_policy import train_on_thumbs
    from hftrain.alignment.preference_policy import TokenRows

    class Trainer(TokenRows, KTOTrainer):
        """KTO on rows of token ids."""

    [start] = model.values()
    ours = {"max_length": None, "train_sampling_strategy": "sequential"}
    train_on_thumbs(
        Trainer,
        KTOConfig,
        config,
        ours,
        start=start,
        feedback=feedback,
        preferences=preferences,
        corpus=corpus,
        out=out,
    )


_learn_thumbs.__name__ = "learn_thumbs"  # what manifests and logs call the stage
