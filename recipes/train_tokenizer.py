"""Learn a byte-level BPE vocabulary and write a chat tokenizer: corpus/ -> tokenizer/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.train_tokenizer import TrainTokenizerConfig, train_tokenizer


def run(config: TrainTokenizerConfig, run_dir: Path) -> Path:
    """Make ``run_dir/tokenizer``."""
    return train_tokenizer(
        config,
        corpus=run_dir / "corpus",
        out=run_dir / "tokenizer",
    )


if __name__ == "__main__":
    main(run, TrainTokenizerConfig, section="train_tokenizer")
