"""Plots of lengths: bars, a funnel, one number before and after."""

from collections.abc import Mapping

from hftrain.report import axes
from hftrain.report.axes import WIDTH, Scale, label, place, rule
from hftrain.report.frame import Plot, heading, nothing
from hftrain.report.marks import bar, dot, fitting, stroke
from hftrain.report.markup import Markup, join
from hftrain.report.numbers import is_number


def bars(
    values: Mapping[str, object],
    *,
    title: str,
    unit: str = "",
    texts: Mapping[str, str] | None = None,
) -> Plot:
    """Horizontal bars from zero, the value written at the end of each.

    A value that is not a finite number is listed without a bar. ``texts`` says how a value is
    written where plain digits are not it.
    """
    known = {name: float(value) for name, value in values.items() if is_number(value)}
    head, top = heading(title, unit, [])
    if not known:
        return nothing(title)
    longest = max(max(abs(value) for value in known.values()), 1e-12)
    wide = min(max(axes.text_width(name) for name in values), 150) + 8
    parts = [head]
    for row, name in enumerate(values):
        middle = top + 10 + 22 * row
        written = (texts or {}).get(name) or _plain(known.get(name))
        parts.append(label(wide - 8, middle + 4, fitting(name, 150), anchor="end"))
        length = abs(known.get(name, 0.0)) / longest * (WIDTH - wide - 70)
        parts.append(bar(wide, middle, length, 0))
        parts.append(label(wide + length + 6, middle + 4, written))
    return Plot(title, join(parts), top + 22 * len(values) + 2)


def funnel(total: float, drops: Mapping[str, float], *, title: str, unit: str, kept_as: str = "kept") -> Plot:
    """How a total shrinks by what each rule drops, in the order given.

    What a rule took stands where it was taken, as in a waterfall; what is left stands below.
    """
    head, top = heading(title, unit, [])
    wide = min(max(axes.text_width(name) for name in [*drops, "came in", kept_as]), 150) + 8
    scale = Scale(0, max(total, 1), wide, WIDTH - 110)
    rows: list[tuple[str, float, float, int]] = [("came in", 0, total, 5)]
    left = total
    for name, dropped in drops.items():
        left -= dropped
        rows.append((name, max(left, 0), dropped, 1))
    rows.append((kept_as, 0, max(left, 0), 2))
    parts = [head]
    for row, (name, start, length, series) in enumerate(rows):
        middle = top + 10 + 22 * row
        reach = scale(start + length) - scale(start)
        share = "100 %" if length == total else f"{100 * length / total:.1f} %" if total else "–"
        parts.append(label(wide - 8, middle + 4, fitting(name, 150), anchor="end"))
        parts.append(bar(scale(start), middle, max(reach, 1.5 if length else 0), series))
        sign = "−" if series == 1 else ""
        parts.append(label(WIDTH, middle + 4, f"{sign}{length:,.0f} · {share}", anchor="end"))
    return Plot(title, join(parts), top + 22 * len(rows) + 2)


def before_after(
    before: object,
    after: object,
    *,
    title: str,
    references: Mapping[str, object] | None = None,
    interval: tuple[float, float] | None = None,
) -> Plot:
    """One number on its way: a ring where it stood, a dot where it stands.

    ``references`` (name -> level, such as chance) are ticks; ``interval`` is the confidence
    interval of ``after``, a pale band.
    """
    levels = {name: float(v) for name, v in (references or {}).items() if is_number(v)}
    shown = [float(value) for value in (before, after) if is_number(value)]
    if not shown:
        return nothing(title)
    reach = [*shown, *levels.values(), *(interval or ())]
    ticks = axes.round_ticks(min(reach), max(reach), 4)
    x = Scale(ticks[0], ticks[-1], 12, WIDTH - 12)
    middle = 20.0
    parts: list[Markup] = [rule(12, middle, WIDTH - 12, middle, opacity=0.2)]
    names, bottom = _level_names(levels, x, middle)
    parts += names
    if interval:
        low, high = x(interval[0]), x(interval[1])
        parts.append(stroke(f"M{place(low)} {place(middle)}H{place(high)}", 0, 9, opacity=0.3))
    if is_number(before) and is_number(after):
        parts.append(stroke(f"M{place(x(before))} {place(middle)}H{place(x(after))}", 0, 2.4))
    if is_number(before):
        parts.append(dot(x(before), middle, 0, radius=5, is_ring=True))
    if is_number(after):
        parts.append(dot(x(after), middle, 0, radius=5.5))
    return Plot(title, join(parts), bottom)


def _level_names(levels: Mapping[str, float], x: Scale, middle: float) -> tuple[list[Markup], float]:
    """Ticks with names below, each on the first line where it touches no other; and the y below them."""
    parts, bottom = [], middle + 12
    reached: list[float] = []
    for name, level in sorted(levels.items(), key=lambda item: item[1]):
        half = axes.text_width(name) / 2
        at = min(max(x(level), half), WIDTH - half)
        line = next((line for line, end in enumerate(reached) if at - half > end + 6), len(reached))
        reached[line : line + 1] = [at + half]
        parts.append(rule(x(level), middle - 9, x(level), middle + 9, opacity=0.75))
        parts.append(label(at, middle + 21 + 13 * line, name, anchor="middle", opacity=0.75))
        bottom = max(bottom, middle + 26 + 13 * line)
    return parts, bottom


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")
