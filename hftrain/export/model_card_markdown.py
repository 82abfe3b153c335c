"""Markdown of which nothing that a run says becomes markup."""

import re
from collections.abc import Sequence

MOST_ROWS = 100
"""Longer tables end in a row that says what is left out."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    shown = [*rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        shown.append((f"and {len(rows) - MOST_ROWS:,} more", *("",) * (len(head) - 1)))
    lines = [head, ["---"] * len(head), *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(value: object) -> str:
    """As text in a table's cell or a sentence: nothing in it is markup."""
    flat = " ".join(str(value).split())
    return (
        re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", flat)
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
        .replace("\\&", "&amp;")
    )


def code(value: object) -> str:
    """As what stands between backticks in a table."""
    return " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
