"""The same as curate.py, dealt to many tasks by datatrove's executors: raw/ -> corpus/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.curate import CurateConfig, curate_on_cluster


def run(config: CurateConfig, run_dir: Path) -> Path:
    """Make ``run_dir/corpus``."""
    return curate_on_cluster(config, raw=run_dir / "raw", out=run_dir / "corpus")


if __name__ == "__main__":
    main(run, CurateConfig, section="curate")
