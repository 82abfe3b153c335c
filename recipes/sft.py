"""Teach a base model to answer: base/ + corpus/ -> chat/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.sft import SFTStageConfig, sft


def run(config: SFTStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/chat``."""
    return sft(
        config,
        base=run_dir / "base",
        corpus=run_dir / "corpus",
        out=run_dir / "chat",
    )


if __name__ == "__main__":
    main(run, SFTStageConfig, section="sft")
