"""Train a reward model on preference pairs: preferences/ + chat/ -> reward/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.reward_model import RewardModelConfig, reward_model


def run(config: RewardModelConfig, run_dir: Path) -> Path:
    """Make ``run_dir/reward``."""
    return reward_model(config, chat=run_dir / "chat", preferences=run_dir / "preferences", out=run_dir / "reward")


if __name__ == "__main__":
    main(run, RewardModelConfig, section="reward_model")
