"""Train the policy by DPO: chat/ + preferences/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.dpo import DPOStageConfig, dpo


def run(config: DPOStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return dpo(
        config,
        chat=run_dir / "chat",
        preferences=run_dir / "preferences",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, DPOStageConfig, section="dpo")
