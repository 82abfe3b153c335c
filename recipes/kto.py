"""Train the policy by KTO: chat/ + preferences/ + corpus/ -> policy/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.kto import KTOStageConfig, kto


def run(config: KTOStageConfig, run_dir: Path) -> Path:
    """Make ``run_dir/policy``."""
    return kto(
        config,
        chat=run_dir / "chat",
        preferences=run_dir / "preferences",
        corpus=run_dir / "corpus",
        out=run_dir / "policy",
    )


if __name__ == "__main__":
    main(run, KTOStageConfig, section="kto")
