"""The plot of differences: a dot with its interval on each line, beside the line of none."""

from collections.abc import Sequence

from hftrain.report import axes
from hftrain.report.axes import WIDTH, Scale, label, place, rule
from hftrain.report.frame import Plot, heading, nothing
from hftrain.report.marks import dot, fitting, stroke
from hftrain.report.markup import join

LINE = 20
NAMES_WIDTH = 150


def differences(
    rows: Sequence[tuple[str, float, float, float]], *, title: str, unit: str, is_share: bool = False
) -> Plot:
    """Differences with the ends of their intervals: name, difference, low, high.

    Those whose interval leaves no difference out are drawn full, the others pale.
    """
    if not rows:
        return nothing(title)
    head, top = heading(title, unit, [])
    wide = min(max(axes.text_width(name) for name, *_ in rows), NAMES_WIDTH) + 12
    ticks = axes.round_ticks(min(0.0, *(low for _, _, low, _ in rows)), max(0.0, *(high for *_, high in rows)), 4)
    x = Scale(ticks[0], ticks[-1], wide + 6, WIDTH - 14)
    bottom = top + LINE * len(rows) + 4
    parts = [head]
    for value, text in zip(ticks, axes.tick_texts(ticks, is_share=is_share), strict=True):
        is_none = abs(value) < 1e-12
        parts.append(rule(x(value), top - 2, x(value), bottom, opacity=0.6 if is_none else 0.14))
        parts.append(label(x(value), bottom + 14, text, anchor="middle", opacity=0.7))
    for place_, (name, value, low, high) in enumerate(rows):
        middle = top + LINE * place_ + LINE / 2
        is_clear = low > 0 or high < 0
        parts.append(label(wide - 6, middle + 4, fitting(name, NAMES_WIDTH), anchor="end"))
        path = f"M{place(x(low))} {place(middle)}H{place(x(high))}"
        parts.append(stroke(path, 0, 2.4, opacity=1 if is_clear else 0.45))
        parts.append(dot(x(value), middle, 0, radius=4.5, is_ring=not is_clear))
    return Plot(title, join(parts), bottom + 20)
