"""Train a causal language model from random weights: corpus/ + tokenizer/ -> base/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.pretrain import PretrainConfig, pretrain


def run(config: PretrainConfig, run_dir: Path) -> Path:
    """Make ``run_dir/base``."""
    return pretrain(
        config,
        corpus=run_dir / "corpus",
        tokenizer=run_dir / "tokenizer",
        out=run_dir / "base",
    )


if __name__ == "__main__":
    main(run, PretrainConfig, section="pretrain")
