"""Train the policy by best of n: chat/ + reward/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.best_of_n import BestOfNConfig, best_of_n


def run(config: BestOfNConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return best_of_n(
        config,
        chat=run_dir / "chat",
        reward=run_dir / "reward",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, BestOfNConfig, section="best_of_n")
