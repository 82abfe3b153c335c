"""Corrections among the conversations that were learned before: feedback/ + corpus/ -> corpus/."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage
from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class MixConfig(StageConfig):
    """How much of what was learned before stands beside what is new."""

    old_share: float = 0.5
    """Of the rows that are trained on, how many are old."""


@stage(makes="corpus", reads=("feedback", "corpus"), uses_torch=False)
def mix_corrections(config: MixConfig, *, feedback: Path, corpus: Path, out: Path) -> None:
    """Write a corpus whose conversations are the corrections and some old ones; all else of it is as it was."""
    from hftrain.alignment.feedback_mixing import mixed_corpus

    mixed_corpus(feedback, corpus, out, old_share=config.old_share, seed=config.seed or 0)
