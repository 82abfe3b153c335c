"""The run's page, a view over what is finished on disk, and the plots that notebooks use too."""

from hftrain.report.page import render_report

__all__ = ["render_report"]
