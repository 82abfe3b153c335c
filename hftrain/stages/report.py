"""whatever is finished of a run -> report.html."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class ReportConfig(StageConfig):
    """How much the page shows."""

    drop_examples: int = 3
    """Sampled documents shown under each rule that dropped some."""

    sample_rows: int = 4
    """Prompts, label masks and ranked answers shown of each kind."""

    def problems(self) -> list[str]:
        """Counts below zero."""
        counts = {"drop_examples": self.drop_examples, "sample_rows": self.sample_rows}
        return [
            f"report.{name}: {count}. A count from 0 is needed. Set it to 0 to show none, or remove it."
            for name, count in counts.items()
            if count < 0
        ]


def report(config: ReportConfig, run_dir: Path) -> Path:
    """Write the run's page; it is a view over the artifacts and none itself, so it has no manifest."""
    from hftrain.report.page import render_report
    from hftrain.report.parts import Options
    from hftrain.runtime import is_main_process

    options = Options(drop_examples=config.drop_examples, sample_rows=config.sample_rows)
    return render_report(run_dir, options) if is_main_process() else run_dir / "report.html"
