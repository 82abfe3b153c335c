"""Write one page over the whole life of a model: whatever is finished in the run folder -> report.html."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.report import ReportConfig, report


def run(config: ReportConfig, run_dir: Path) -> Path:
    """Make ``run_dir/report.html``."""
    return report(config, run_dir)


if __name__ == "__main__":
    main(run, ReportConfig, section="report")
