"""Train the policy by GRPO: chat/ + reward/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.grpo import GRPOStageConfig, grpo


def run(config: GRPOStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return grpo(
        config,
        chat=run_dir / "chat",
        reward=run_dir / "reward",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, GRPOStageConfig, section="grpo")
