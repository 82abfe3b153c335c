"""What the page's sections are made of: figures with captions, facts, texts, curves from logs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hftrain.report.frame import Plot
from hftrain.report.markup import Markup, clip, div, fold, join, note, sample, span, table, tag
from hftrain.report.numbers import MISSING, count, decimal, is_number
from hftrain.report.reading import Artifact


@dataclass(frozen=True)
class Options:
    """How many examples a page shows."""

    drop_examples: int = 3
    """Sampled documents shown under each rule that dropped some."""

    sample_rows: int = 4
    """Prompts, label masks and ranked answers shown of each kind."""


def figure(plot: Plot, *caption: object) -> Markup:
    """A plot and a sentence that says what it means."""
    return tag("figure", plot.svg, tag("figcaption", *caption) if caption else None)


def figures(*drawn: Markup | None) -> Markup:
    """Plots beside each other where there is room."""
    return div("figures", *drawn)


def facts(*rows: tuple[str, object] | tuple[str, object, object]) -> Markup:
    """Numbers with their names, and perhaps a remark to each."""
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", row[0]),
                tag("dd", row[1], span("remark", row[2]) if len(row) == 3 and row[2] else None),
            )
            for row in rows
        ),
        class_="facts",
    )


def curve(metrics: Iterable[Mapping[str, Any]], *names: str, x: str = "step") -> list[tuple[object, object]]:
    """(x, y) of the rows that hold one of the names, the first that is there."""
    points = []
    for row in metrics:
        name = next((name for name in names if name in row), None)
        if name is not None and x in row:
            points.append((row[x], row[name]))
    return points


def or_ends(
    points: Sequence[tuple[object, object]],
    before: object,
    after: object,
    metrics: Sequence[Mapping[str, Any]],
) -> Sequence[tuple[object, object]]:
    """The curve; where none was logged, a straight line between the summary's two numbers."""
    steps = [row["step"] for row in metrics if is_number(row.get("step"))]
    if points or not steps or not is_number(before) or not is_number(after):
        return points
    return [(0, before), (max(steps), after)]


def moved(summary: Mapping[str, Any], stem: str, write: Callable[..., str] = decimal, digits: int = 3) -> str:
    """``3.41 → 2.05``: the summary's ``<stem>_before`` and ``<stem>_after``."""
    return " → ".join(write(summary.get(f"{stem}_{when}"), digits) for when in ("before", "after"))


def all_numbers(summary: Mapping[str, Any]) -> Markup | None:
    """Every number and word of a summary under its own name, behind a click."""
    rows = [
        (name.replace("_", " "), _shown(value))
        for name, value in summary.items()
        if value is None or isinstance(value, bool | int | float | str)
    ]
    return fold("All numbers", table(("name", "value"), rows)) if rows else None


def messages(prompt: object) -> Markup:
    """A conversation, one block a message with its role."""
    if not isinstance(prompt, list):
        return sample(prompt)
    turns = [turn for turn in prompt if isinstance(turn, Mapping)]
    return div(
        "turns",
        *(div("turn", span("role", turn.get("role", "–")), sample(turn.get("content"))) for turn in turns),
    )


def growth(made: Artifact, options: Options) -> Markup | None:
    """What a model made of the same prompts as training went on, one block a prompt."""
    by_prompt: dict[str, list[Mapping[str, Any]]] = {}
    for row in made.rows("samples.jsonl"):
        seen = by_prompt.setdefault(str(row.get("prompt", MISSING)), [])
        if not seen or seen[-1].get("step") != row.get("step"):
            seen.append(row)
    blocks: list[Markup] = []
    for prompt, rows in list(by_prompt.items())[: options.sample_rows]:
        lines = [
            tag("tr", tag("th", "step ", count(row.get("step"))), tag("td", sample(row.get("completion"))))
            for row in spread_out(rows, 5)
        ]
        blocks.append(fold(f"“{clip(prompt, 160)}”", tag("table", *lines, class_="growth"), is_open=not blocks))
    if not blocks:
        return None
    said = note("The same prompts each time, the likeliest words; nothing is picked.")
    return join([tag("h3", "Samples as training went on"), said, *blocks])


def spread_out(rows: Sequence[Any], wanted: int) -> list[Any]:
    """At most ``wanted`` rows, evenly from first to last."""
    if len(rows) <= wanted:
        return list(rows)
    if wanted == 1:
        return [rows[-1]]
    return [rows[round(place * (len(rows) - 1) / (wanted - 1))] for place in range(wanted)]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return clip(value, 80)
    if isinstance(value, bool) or not is_number(value):
        return str(value) if isinstance(value, bool) else MISSING
    return count(value) if isinstance(value, int) else decimal(value, 4)
