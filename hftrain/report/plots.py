"""The report's plots as hand-written SVG: the same bytes everywhere, no script, no font.

They follow the light or dark of the page around them. Each function returns a `Plot`, which a
notebook shows and a page inlines::

    from hftrain.report import plots
    plots.lines({"training": [(1, 5.2), (2, 4.9)]}, title="Loss", x_label="step", y_label="nats")
"""

from hftrain.report.curves import binned, histogram, lines
from hftrain.report.frame import Plot
from hftrain.report.lengths import bars, before_after, funnel

__all__ = ["Plot", "bars", "before_after", "binned", "funnel", "histogram", "lines"]
