"""What is drawn inside a plot: strokes, dots, bars; and the points that are worth drawing."""

from collections.abc import Sequence

from hftrain.report.axes import colour, place, text_width
from hftrain.report.markup import Markup, tag
from hftrain.report.numbers import is_number

Point = tuple[float, float]

MOST_POINTS = 240
"""A longer series is thinned to the ends of each stretch, so that spikes stay."""


def finite_runs(points: Sequence[tuple[object, object]]) -> list[list[Point]]:
    """The stretches of finite points, thinned."""
    pieces: list[list[Point]] = [[]]
    for x, y in points:
        if is_number(x) and is_number(y):
            pieces[-1].append((float(x), float(y)))
        elif pieces[-1]:
            pieces.append([])
    return [thinned(piece) for piece in pieces if piece]


def thinned(points: list[Point]) -> list[Point]:
    """At most about `MOST_POINTS` of the points, the extremes of each stretch among them."""
    if len(points) <= MOST_POINTS:
        return points
    stretch = -(-2 * len(points) // MOST_POINTS)
    kept = [points[0]]
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += [point for point in part if point in ends and point != kept[-1]]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def stroke(path: str, index: int, width: float, *, dash: str | None = None, opacity: float = 1) -> Markup:
    """A line without a fill in the colour of series ``index``."""
    return tag(
        "path",
        d=path,
        fill="none",
        style=f"stroke:{colour(index)}",
        stroke_width=width,
        stroke_opacity=None if opacity == 1 else opacity,
        stroke_dasharray=dash,
        stroke_linejoin="round",
        stroke_linecap=None if dash else "round",
    )


def dot(x: float, y: float, index: int, *, radius: float, is_ring: bool = False) -> Markup:
    """A dot, or a ring that shows the paper through."""
    style = f"stroke:{colour(index)};fill:{'var(--paper,#ffffff)' if is_ring else colour(index)}"
    return tag("circle", cx=place(x), cy=place(y), r=radius, style=style, stroke_width=2 if is_ring else 0)


def bar(x: float, middle: float, length: float, index: int) -> Markup:
    """A horizontal bar around ``middle``."""
    return tag(
        "rect",
        x=place(x),
        y=place(middle - 7),
        width=place(length),
        height=14,
        rx=2,
        style=f"fill:{colour(index)}",
    )


def fitting(name: str, width: float) -> str:
    """The name, cut to a width with an ellipsis."""
    if text_width(name) <= width:
        return name
    while name and text_width(name + "…") > width:
        name = name[:-1]
    return name + "…"
