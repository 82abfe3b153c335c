"""Train the policy by PPO: chat/ + reward/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.ppo import PPOStageConfig, ppo


def run(config: PPOStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return ppo(
        config,
        chat=run_dir / "chat",
        reward=run_dir / "reward",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, PPOStageConfig, section="ppo")
