"""Train the policy by RLOO: chat/ + reward/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.rloo import RLOOStageConfig, rloo


def run(config: RLOOStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return rloo(
        config,
        chat=run_dir / "chat",
        reward=run_dir / "reward",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, RLOOStageConfig, section="rloo")
