"""A finished picture, and the head that stands over every plot."""

from collections.abc import Sequence
from dataclasses import dataclass

from hftrain.report import axes
from hftrain.report.axes import label
from hftrain.report.markup import Markup, join


@dataclass(frozen=True)
class Plot:
    """A picture: ``svg`` to inline in a page; Jupyter shows it on white, whatever its theme."""

    title: str
    body: Markup
    height: float

    @property
    def svg(self) -> Markup:
        """The picture in the colours of the page around it."""
        return axes.picture(self.body, height=self.height, title=self.title)

    def _repr_svg_(self) -> str:
        return axes.picture(self.body, height=self.height, title=self.title, on_paper=True)


def heading(title: str, y_label: str, names: Sequence[str], *, filled: bool = False) -> tuple[Markup, float]:
    """Title, legend and unit of a plot, and the y where its drawing begins."""
    parts, y = [label(0, 13, title, size=13, weight=600)], 30.0
    if names:
        drawn, y = axes.legend(names, y + 1, filled=filled)
        parts.append(drawn)
        y += 6
    if y_label:
        parts.append(label(0, y, y_label, opacity=0.7))
        y += 12
    return join(parts), y + 2


def nothing(title: str) -> Plot:
    """The plot of no numbers: it says so."""
    parts = [label(0, 13, title, size=13, weight=600), label(0, 34, "no numbers yet", opacity=0.7)]
    return Plot(title, join(parts), 44)
