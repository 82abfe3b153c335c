"""New comparisons among the pairs that were learned before: feedback/ (+ preferences/) -> preferences/."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage
from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class MixPreferencesConfig(StageConfig):
    """How much of what was learned before stands beside what is new."""

    old_share: float = 0.5
    """Of the pairs of each split, how many are old, if the run has old ones."""


@stage(makes="preferences", reads=("feedback", "preferences"), optional=("preferences",), uses_torch=False)
def mix_preferences(config: MixPreferencesConfig, *, feedback: Path, preferences: Path | None, out: Path) -> None:
    """Write pairs that a policy or a reward model learns from, old and new."""
    from hftrain.alignment.feedback_mixing import mixed_preferences

    mixed_preferences(feedback, preferences, out, old_share=config.old_share, seed=config.seed or 0)
