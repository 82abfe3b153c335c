"""A plot of what is gained against what it costs: a mark for each thing, its name and a number in a column beside."""

from collections.abc import Mapping
from dataclasses import dataclass

from hftrain.report.axes import WIDTH, Scale, colour, grid, label, place, round_ticks
from hftrain.report.frame import Plot, heading, nothing
from hftrain.report.marks import fitting, stroke
from hftrain.report.markup import Markup, join, tag
from hftrain.report.numbers import is_number

COLUMN = 168
"""User units that the names take at the right."""

LINE = 15
"""User units from one name to the next."""

LEAST_HEIGHT = 150

SMALLEST_RADIUS, LARGEST_RADIUS = 4.0, 9.0


@dataclass(frozen=True)
class Spot:
    """One thing in the plot."""

    x: object
    y: object
    weight: object = None
    """What the mark's area grows with; None for the smallest mark."""
    remark: str = ""
    """What is written after the name."""
    family: str = ""
    """Things of one family share a colour and a shape."""


def tradeoff(spots: Mapping[str, Spot], *, title: str, x_label: str, y_label: str) -> Plot:
    """Marks at (x, y), each tied by a thin line to its name at the right, in the order of their heights.

    Families differ by shape as well as by colour. A thing without both numbers is left out.
    """
    known = {
        name: (float(spot.x), float(spot.y), spot)
        for name, spot in spots.items()
        if is_number(spot.x) and is_number(spot.y)
    }
    if not known:
        return nothing(title)
    head, top = heading(title, y_label, [])
    height = max(LEAST_HEIGHT, LINE * len(known))
    x_ticks = round_ticks(0, max(x for x, _, _ in known.values()), 4)
    y_ticks = round_ticks(min(y for _, y, _ in known.values()), max(y for _, y, _ in known.values()), 4)
    x = Scale(x_ticks[0], x_ticks[-1], 40, WIDTH - COLUMN - 16)
    y = Scale(y_ticks[0], y_ticks[-1], top + height, top + 4)
    families = list(dict.fromkeys(spot.family for _, _, spot in known.values()))
    heaviest = max((float(spot.weight) for _, _, spot in known.values() if is_number(spot.weight)), default=0.0)
    parts = [head, grid(x, y, x_ticks, y_ticks, x_label=x_label)]
    order = sorted(known, key=lambda name: (y(known[name][1]), -known[name][0]))
    first = top + (height - LINE * len(order)) / 2 + LINE / 2
    for row, name in enumerate(order):
        across, up, spot = x(known[name][0]), y(known[name][1]), known[name][2]
        beside, index = first + LINE * row, families.index(spot.family)
        line = f"M{place(across)} {place(up)}L{place(WIDTH - COLUMN - 4)} {place(beside)}h4"
        parts.append(stroke(line, index, 0.8, opacity=0.55))
        parts.append(label(WIDTH - COLUMN + 3, beside + 4, fitting(f"{name} {spot.remark}".strip(), COLUMN - 3)))
    for name in sorted(order, key=lambda name: -_radius(known[name][2].weight, heaviest)):
        across, up, spot = known[name]
        parts.append(_mark(x(across), y(up), families.index(spot.family), _radius(spot.weight, heaviest)))
    return Plot(title, join(parts), top + height + 36)


def _radius(weight: object, heaviest: float) -> float:
    """Areas in proportion to weights, down to a smallest one that can be seen."""
    share = float(weight) / heaviest if is_number(weight) and heaviest > 0 else 0.0
    return max(SMALLEST_RADIUS, LARGEST_RADIUS * max(share, 0.0) ** 0.5)


def _mark(x: float, y: float, index: int, radius: float) -> Markup:
    """A circle, square, diamond or triangle of like area, by its family."""
    style = f"fill:{colour(index)};fill-opacity:.75;stroke:var(--paper,#ffffff)"
    if index % 4 == 0:
        return tag("circle", cx=place(x), cy=place(y), r=place(radius), style=style)
    corners = {
        1: [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)],
        2: [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        3: [(0, -1.5), (1.3, 0.8), (-1.3, 0.8)],
    }[index % 4]
    points = " ".join(f"{place(x + radius * right)},{place(y + radius * down)}" for right, down in corners)
    return tag("polygon", points=points, style=style)
