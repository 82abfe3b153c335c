"""Collect documents and conversations from files, the Hub or the installation -> raw/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.collect import CollectConfig, collect


def run(config: CollectConfig, run_dir: Path) -> Path:
    """Make ``run_dir/raw``."""
    return collect(config, out=run_dir / "raw")


if __name__ == "__main__":
    main(run, CollectConfig, section="collect")
