"""Numbers as a person reads them; what is missing or not a number is a dash."""

from collections.abc import Sequence
from typing import TypeGuard

MISSING = "–"
NEAR = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which belong on one line."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether the value can be drawn or printed: an int or a finite float, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def decimal(value: object, digits: int = 3) -> str:
    """``2.346``; a real minus sign."""
    return _signed(f"{value:.{digits}f}") if is_number(value) else MISSING


def signed(value: object, digits: int = 2) -> str:
    """``+0.31``: a change."""
    return _signed(f"{value:+.{digits}f}") if is_number(value) else MISSING


def count(value: object) -> str:
    """``12,345``."""
    return _signed(f"{round(value):,}") if is_number(value) else MISSING


def short_count(value: object) -> str:
    """``1.2 M``: large counts in three digits."""
    if not is_number(value):
        return MISSING
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return _signed(f"{value / size:.3g}{NEAR}{suffix}")
    return _signed(f"{value:.3g}")


def percent(value: object, digits: int = 0) -> str:
    """``61 %`` for the share 0.61."""
    return _signed(f"{100 * value:.{digits}f}{NEAR}%") if is_number(value) else MISSING


def size_in_bytes(value: object) -> str:
    """``1.4 MiB``."""
    if not is_number(value):
        return MISSING
    for size, suffix in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= size:
            return f"{value / size:.1f}{NEAR}{suffix}"
    return f"{value:.0f}{NEAR}B"


def duration(seconds: object) -> str:
    """``48 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if not is_number(seconds) or seconds < 0:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f}{NEAR}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NEAR}s"
    if whole < 3600:
        return f"{whole // 60}{NEAR}min {whole % 60}{NEAR}s"
    return f"{whole // 3600}{NEAR}h {whole % 3600 // 60}{NEAR}min"


def energy(joules: object) -> str:
    """``820 J``, ``12.4 kJ``, ``1.20 MJ``."""
    if not is_number(joules) or joules < 0:
        return MISSING
    for size, unit in ((1e6, "MJ"), (1e3, "kJ")):
        if joules >= size:
            return f"{joules / size:.3g}{NEAR}{unit}"
    return f"{joules:.0f}{NEAR}J"


def interval(value: object, shown: str = "percent") -> str:
    """``52 % to 70 %`` from a pair of shares, or ``0.10 to 0.32`` with ``shown="signed"``."""
    pair = ends(value)
    if pair is None:
        return MISSING
    low, high = ((percent(end) if shown == "percent" else signed(end)) for end in pair)
    return f"{low} to {high}"


def ends(value: object) -> tuple[float, float] | None:
    """The two ends of an interval, or None where there is none."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        low, high = value
        if is_number(low) and is_number(high):
            return float(low), float(high)
    return None


def short_digest(value: object) -> str:
    """The first ten hex digits of ``sha256:<hex>``."""
    return value.removeprefix("sha256:")[:10] if isinstance(value, str) and value else MISSING


def _signed(text: str) -> str:
    return text.replace("-", "−")
