"""Curves over steps, and how values are spread."""

import math
from collections.abc import Mapping, Sequence

from hftrain.report import axes
from hftrain.report.axes import WIDTH, Scale, colour, label, place, rule
from hftrain.report.frame import Plot, heading, nothing
from hftrain.report.marks import Point, dot, finite_runs, stroke
from hftrain.report.markup import Markup, join, tag
from hftrain.report.numbers import is_number

PLOT_HEIGHT = 150


def lines(
    series: Mapping[str, Sequence[tuple[object, object]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    references: Mapping[str, object] | None = None,
    y_is_share: bool = False,
    y_shows: Sequence[float] = (),
    dots: bool = False,
) -> Plot:
    """Curves over a common x axis: name -> (x, y) in the order to draw.

    A y that is not a finite number leaves a gap. ``references`` (name -> level) are dashed
    horizontal lines; a share of one is written in percent; ``y_shows`` are values that the y axis
    must reach, such as 0 where a small change should look small; with ``dots`` each point gets a dot and
    the first a ring, for a path of few steps.
    """
    levels = {name: float(y) for name, y in (references or {}).items() if is_number(y)}
    runs = {name: finite_runs(points) for name, points in series.items()}
    runs = {name: pieces for name, pieces in runs.items() if pieces}
    if not runs:
        return nothing(title)
    drawn = [point for pieces in runs.values() for piece in pieces for point in piece]
    head, top = heading(title, y_label, list(runs) if len(runs) > 1 else [])
    heights = [y for _, y in drawn] + list(levels.values()) + list(y_shows)
    y_ticks = axes.round_ticks(min(heights), max(heights))
    texts = axes.tick_texts(y_ticks, is_share=y_is_share)
    left = max(axes.text_width(text) for text in texts) + 10
    bottom = top + PLOT_HEIGHT
    # x ends where the data end: a tick past it would promise steps that were never taken.
    x_low, x_high = min(x for x, _ in drawn), max(x for x, _ in drawn)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1
    x_ticks = axes.ticks_inside(x_low, x_high)
    if all(x == int(x) for x, _ in drawn):
        x_ticks = [tick for tick in x_ticks if tick == round(tick)]
    written = [_brief(pieces[-1][-1][1], y_is_share) for pieces in runs.values()]
    x = Scale(x_low, x_high, left, WIDTH - 8 - max(axes.text_width(text) for text in written))
    y = Scale(y_ticks[0], y_ticks[-1], bottom, top)
    parts = [head, axes.grid(x, y, x_ticks, y_ticks, x_label=x_label, y_is_share=y_is_share)]
    parts += [_reference(name, level, x, y) for name, level in levels.items()]
    parts += [_curve(pieces, x, y, index, dots) for index, pieces in enumerate(runs.values())]
    parts.append(_last_values(list(runs.values()), x, y, y_is_share))
    return Plot(title, join(parts), bottom + 34)


def histogram(
    groups: Mapping[str, Sequence[object]],
    *,
    title: str,
    x_label: str,
    mark: float | None = None,
    bin_count: int = 24,
) -> Plot:
    """How the values of each group are spread, as shares in common bins.

    What is not a finite number is left out. ``mark`` is an x for a dashed vertical line, such as 0
    for "no preference".
    """
    known = {name: [float(v) for v in values if is_number(v)] for name, values in groups.items()}
    everything = [value for values in known.values() for value in values]
    if not everything:
        return nothing(title)
    if mark is not None:
        everything.append(mark)
    edges = axes.round_ticks(min(everything), max(everything), bin_count)
    counts = {name: _counts(values, edges) for name, values in known.items() if values}
    return binned(edges, counts, title=title, x_label=x_label, mark=mark)


def binned(
    edges: Sequence[object],
    counts: Mapping[str, Sequence[object]],
    *,
    title: str,
    x_label: str,
    mark: float | None = None,
) -> Plot:
    """A histogram of values that were counted already; there is one edge more than each list of counts."""
    sides = [float(edge) for edge in edges if is_number(edge)]
    known = {name: [float(c) for c in found if is_number(c)] for name, found in counts.items()}
    known = {name: found for name, found in known.items() if sum(found) and len(found) + 1 == len(sides)}
    if not known or sides != sorted(set(sides)):
        return nothing(title)
    shares = {name: [c / sum(found) for c in found] for name, found in known.items()}
    head, top = heading(title, "share of the values", list(known) if len(known) > 1 else [], filled=True)
    bottom = top + PLOT_HEIGHT
    y_ticks = axes.round_ticks(0, max(max(share) for share in shares.values()))
    left = max(axes.text_width(text) for text in axes.tick_texts(y_ticks, is_share=True)) + 10
    x, y = Scale(sides[0], sides[-1], left, WIDTH - 8), Scale(0, y_ticks[-1], bottom, top)
    x_ticks = axes.ticks_inside(sides[0], sides[-1])
    parts = [head, axes.grid(x, y, x_ticks, y_ticks, x_label=x_label, y_is_share=True)]
    parts += [_steps(share, sides, x, y, index) for index, share in enumerate(shares.values())]
    if mark is not None:
        parts.append(rule(x(mark), bottom, x(mark), top, opacity=0.6, dash="4 3"))
    return Plot(title, join(parts), bottom + 34)


def _curve(pieces: list[list[Point]], x: Scale, y: Scale, index: int, dots: bool) -> Markup:
    path = "".join("M" + "L".join(f"{place(x(px))} {place(y(py))}" for px, py in piece) for piece in pieces)
    dash = axes.DASHES[index % len(axes.DASHES)]
    parts = [stroke(path, index, 1.2 if dots else 1.8, dash=dash, opacity=0.5 if dots else 1)]
    if dots:
        points = [point for piece in pieces for point in piece]
        for place_in_row, (px, py) in enumerate(points):
            parts.append(dot(x(px), y(py), index, radius=2.6, is_ring=place_in_row == 0))
    else:
        parts += [dot(x(p[0][0]), y(p[0][1]), index, radius=2) for p in pieces if len(p) == 1]
    return join(parts)


def _last_values(runs: Sequence[list[list[Point]]], x: Scale, y: Scale, is_share: bool) -> Markup:
    """Each curve's last value to its right, moved apart where two would touch."""
    parts, taken = [], list[float]()
    for index, pieces in sorted(enumerate(runs), key=lambda run: run[1][-1][-1][1]):
        last_x, last_y = pieces[-1][-1]
        at = y(last_y)
        while taken and taken[-1] - at < 11:
            at -= 1
        taken.append(at)
        text = _brief(last_y, is_share)
        parts.append(dot(x(last_x), y(last_y), index, radius=3))
        parts.append(label(x(last_x) + 6, at + 4, text, weight=600, fill=colour(index)))
    return join(parts)


def _brief(value: float, is_share: bool) -> str:
    """A value in three digits."""
    if is_share:
        return f"{100 * value:.{0 if value >= 0.1 else 1}f} %".replace("-", "−")
    if value and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    decimals = 2 if not value else min(max(2 - math.floor(math.log10(abs(value))), 0), 3)
    return f"{value:.{decimals}f}".replace("-", "−")


def _reference(name: str, level: float, x: Scale, y: Scale) -> Markup:
    return join(
        [
            rule(x.start, y(level), x.end, y(level), opacity=0.6, dash="5 4"),
            label(x.end, y(level) - 4, name, anchor="end", opacity=0.8),
        ]
    )


def _counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    width = edges[1] - edges[0]
    for value in values:
        counts[min(max(int((value - edges[0]) / width + 1e-9), 0), len(counts) - 1)] += 1
    return counts


def _steps(share: Sequence[float], edges: Sequence[float], x: Scale, y: Scale, index: int) -> Markup:
    outline = f"M{place(x(edges[0]))} {place(y(0))}"
    for value, right in zip(share, edges[1:], strict=True):
        outline += f"V{place(y(value))}H{place(x(right))}"
    outline += f"V{place(y(0))}"
    style = f"fill:{colour(index)};fill-opacity:.28;stroke:{colour(index)}"
    return tag("path", d=outline, style=style, stroke_width=1.4)
