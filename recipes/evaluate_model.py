"""Ask every model of the run the same: corpus/ + base/ + chat/ + reward/ + policy/ + ... -> evaluation/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.evaluate_model import EvaluateModelConfig, evaluate_model


def run(config: EvaluateModelConfig, run_dir: Path) -> Path:
    """Make ``run_dir/evaluation``."""
    return evaluate_model(
        config,
        corpus=run_dir / "corpus",
        base=run_dir / "base",
        chat=run_dir / "chat",
        reward=run_dir / "reward",
        policy=run_dir / "policy",
        student=run_dir / "student",
        export=run_dir / "export",
        out=run_dir / "evaluation",
    )


if __name__ == "__main__":
    main(run, EvaluateModelConfig, section="evaluate_model")
