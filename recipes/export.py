"""Write the policy in several formats and measure each: policy/ + corpus/ -> export/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.export import ExportConfig, export


def run(config: ExportConfig, run_dir: Path) -> Path:
    """Make ``run_dir/export``."""
    return export(config, policy=run_dir / "policy", corpus=run_dir / "corpus", out=run_dir / "export")


if __name__ == "__main__":
    main(run, ExportConfig, section="export")
