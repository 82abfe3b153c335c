"""Distil the policy into a smaller student: policy/ + tokenizer/ + corpus/ -> student/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.distill import DistillConfig, distill


def run(config: DistillConfig, run_dir: Path) -> Path:
    """Make ``run_dir/student``."""
    return distill(
        config,
        policy=run_dir / "policy",
        tokenizer=run_dir / "tokenizer",
        corpus=run_dir / "corpus",
        out=run_dir / "student",
    )


if __name__ == "__main__":
    main(run, DistillConfig, section="distill")
