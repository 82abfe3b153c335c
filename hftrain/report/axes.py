"""What every plot stands on: scales, round ticks, the frame with its labels, and the colours."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hftrain.report.markup import Markup, join, tag

# Okabe & Ito's palette, told apart by people with any form of colour blindness, in the order of
# contrast on white. A page may set others by its variables, as ours does on a dark ground.
# Source: https://jfly.uni-koeln.de/color/
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = (None, "6 3", "2 3", "8 3 2 3", "1 3", "4 2")

WIDTH = 380
"""User units of every plot; small, so that its 11-unit text stays readable on a phone."""
TEXT = 11


def colour(index: int) -> str:
    """The CSS colour of series ``index``."""
    place = index % len(PALETTE)
    return f"var(--series-{place + 1},{PALETTE[place]})"


@dataclass(frozen=True)
class Scale:
    """A straight line from values to user units of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where the value stands."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Ticks at 1, 2 or 5 times a power of ten, from at or below ``low`` to at or above ``high``.

    A range of no width, or of none that numbers of this size can tell, is widened, so that one
    value can be drawn too.
    """
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        middle, around = low, abs(low) * 0.1 or 1.0
        low, high = middle - around, middle + around
    raw = (high - low) / max(wanted - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def ticks_inside(low: float, high: float) -> list[float]:
    """Round ticks that do not leave the range, three or more where it has any width."""
    for wanted in (5, 8, 12):
        ticks = round_ticks(low, high, wanted)
        edge = 1e-9 * (ticks[-1] - ticks[0])
        inside = [tick for tick in ticks if low - edge <= tick <= high + edge]
        if len(inside) > 2:
            break
    return inside


def tick_texts(ticks: Sequence[float], *, is_share: bool = False) -> list[str]:
    """The ticks written alike: with the decimals of their step, or ``k``, ``M``, a power of ten."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(sum(ticks)) or 1.0
    if is_share:
        decimals = max(0, -math.floor(math.log10(100 * step) + 1e-9))
        return [f"{100 * tick:.{decimals}f} %".replace("-", "−") for tick in ticks]
    largest = max(abs(tick) for tick in ticks)
    if 0 < largest < 1e-2:
        return ["0" if tick == 0 else _power(tick) for tick in ticks]
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= 10 * size:
            return ["0" if tick == 0 else f"{tick / size:g}{suffix}".replace("-", "−") for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:.{decimals}f}".replace("-", "−") for tick in ticks]


def _power(value: float) -> str:
    digits, exponent = f"{value:.1e}".split("e")
    return f"{float(digits):g}e{int(exponent)}".replace("-", "−")


_NARROW, _WIDE = frozenset(" .,:;il|!'jftrI()[]"), frozenset("%mwMWÀ−+=<>@#—…")


def text_width(text: str, size: float = TEXT + 1) -> float:
    """About how wide a sans-serif text is at most; there is no font to measure with, and phones write larger."""
    units = sum(0.4 if letter in _NARROW else 0.9 if letter in _WIDE else 0.62 for letter in text)
    return units * size


def label(
    x: float,
    y: float,
    content: object,
    *,
    anchor: str = "start",
    opacity: float | None = None,
    size: float = TEXT,
    weight: int | None = None,
    fill: str | None = None,
) -> Markup:
    """A line of text in the picture."""
    return tag(
        "text",
        content,
        x=place(x),
        y=place(y),
        text_anchor=None if anchor == "start" else anchor,
        opacity=opacity,
        font_size=None if size == TEXT else size,
        font_weight=weight,
        style=f"fill:{fill}" if fill else None,
    )


def place(value: float) -> str:
    """A coordinate with one decimal and no needless zero, which keeps pages small."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def rule(x1: float, y1: float, x2: float, y2: float, *, opacity: float = 0.14, dash: str | None = None) -> Markup:
    """A thin straight line in the colour of the text."""
    return tag(
        "line",
        x1=place(x1),
        y1=place(y1),
        x2=place(x2),
        y2=place(y2),
        stroke="currentColor",
        stroke_opacity=opacity,
        stroke_dasharray=dash,
    )


def grid(
    x: Scale,
    y: Scale,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    *,
    x_label: str,
    y_is_share: bool = False,
) -> Markup:
    """Faint horizontal lines with their values, ticks below, and the name of the x axis."""
    parts = []
    for value, text in zip(y_ticks, tick_texts(y_ticks, is_share=y_is_share), strict=True):
        parts.append(rule(x.start, y(value), x.end, y(value)))
        parts.append(label(x.start - 6, y(value) + 4, text, anchor="end", opacity=0.7))
    for value, text in zip(x_ticks, tick_texts(x_ticks), strict=True):
        parts.append(rule(x(value), y.start, x(value), y.start + 4, opacity=0.5))
        parts.append(label(x(value), y.start + 16, text, anchor="middle", opacity=0.7))
    parts.append(rule(x.start, y.start, x.end, y.start, opacity=0.5))
    parts.append(label(x.end, y.start + 31, x_label, anchor="end", opacity=0.7))
    return join(parts)


def legend(names: Iterable[str], y: float, *, filled: bool = False) -> tuple[Markup, float]:
    """The series' names with their colours and dashes, wrapped; and the y below the last line."""
    parts, x = [], 0.0
    for index, name in enumerate(names):
        needed = 24 + text_width(name)
        if x and x + needed > WIDTH:
            x, y = 0.0, y + 16
        if filled:
            parts.append(
                tag(
                    "rect",
                    x=place(x),
                    y=place(y - 8),
                    width=14,
                    height=9,
                    rx=2,
                    style=_paint(index),
                )
            )
        else:
            parts.append(
                tag(
                    "line",
                    x1=place(x),
                    y1=place(y - 4),
                    x2=place(x + 16),
                    y2=place(y - 4),
                    style=f"stroke:{colour(index)}",
                    stroke_width=2.2,
                    stroke_dasharray=DASHES[index % len(DASHES)],
                )
            )
        parts.append(label(x + 20, y, name))
        x += needed + 12
    return join(parts), y + 10


def _paint(index: int) -> str:
    return f"fill:{colour(index)};fill-opacity:.35;stroke:{colour(index)}"


def picture(body: object, *, height: float, title: str, on_paper: bool = False) -> Markup:
    """The whole SVG, with a title for screen readers; on paper it stands on white."""
    edge = 12 if on_paper else 0
    wide, high = WIDTH + 2 * edge, height + 2 * edge
    paper = tag("rect", x=-edge, y=-edge, width=wide, height=place(high), rx=6, fill="#ffffff")
    return tag(
        "svg",
        tag("title", title),
        paper if on_paper else None,
        body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"{-edge} {-edge} {wide} {place(high)}",
        width=520 if on_paper else None,
        color="#1f2328" if on_paper else None,
        role="img",
        aria_label=title,
        font_family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
        font_size=TEXT,
        fill="currentColor",
    )
