"""What a card tells of results: every score with its interval, the gates, and formats against full precision."""

from collections.abc import Iterator, Mapping
from typing import Any

from hftrain.export.model_card_facts import EXPORT, Facts
from hftrain.export.model_card_markdown import code, table, text

KINDS = (
    ("benchmark", "Benchmarks"),
    ("safety", "Safety"),
    ("bias", "Bias"),
    ("heldout", "Held-out text and answers"),
)
SHARES = ("accuracy", "refused", "answered", "share", "pass_at", "preferred", "probability", "extracted", "known_by",
          "personal", "toxic_answers", "refusal_drop", "error")  # fmt: skip


def results(facts: Facts) -> Iterator[str]:
    """Paragraphs and tables."""
    if not facts.scores:
        yield "This artifact was not evaluated: nothing was measured that could be told here."
        yield from _format_results(facts)
        return
    yield (
        "In brackets the 95% interval by bootstrap over the items. A score marked * is within chance, or of too few "
        "items to tell a model ten points above chance from a guess: it says nothing."
    )
    for kind, title in KINDS:
        rows = [_score_row(row) for row in facts.scores if row["kind"] == kind]
        if rows:
            yield f"### {title}"
            yield table(("test", "measure", "score", "chance", "items"), rows)
    if facts.gates:
        yield "### Gates"
        rows = [
            (
                "held" if gate["passed"] else "**broken**",
                f"{text(gate['test'])} {_words(gate['measure'])}",
                f"{gate['value']:.4g}",
                text(", ".join(gate["bounds"])),
            )
            for gate in facts.gates
        ]
        yield table(("gate", "score", "value", "needed"), rows)
    yield from _format_results(facts)


def _format_results(facts: Facts) -> Iterator[str]:
    formats = facts.own.summary.get("formats", {}) if facts.kind == EXPORT else {}
    chosen = {name: value for name, value in formats.items() if facts.format in (None, name)}
    if chosen:
        yield "### Against full precision"
        rows = [
            (
                f"`{code(name)}`",
                f"{each.get('bytes', 0):,}",
                f"{each['ratio']:.5f}",
                f"{100 * each['greedy_agreement']:.1f}%",
                text(", ".join(each.get("loads_with", []))),
            )
            for name, each in chosen.items()
            if "ratio" in each and "greedy_agreement" in each
        ]
        yield table(("format", "bytes", "bits per byte, ratio", "same likeliest tokens", "loads with"), rows)


def _score_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    says = row["chance"] is None or row["says"]
    return (
        text(row["test"]),
        _words(row["measure"]),
        f"{_value(row['value'], row)}{'' if says else '*'} [{_value(row['low'], row)}, {_value(row['high'], row)}]",
        "–" if row["chance"] is None else _value(row["chance"], row),
        f"{row['count']:,}",
    )


def _value(value: float, row: Mapping[str, Any]) -> str:
    is_share = any(word in row["measure"] for word in SHARES)
    return f"{100 * value:.1f}%" if is_share else f"{value:.3f}"


def _words(measure: str) -> str:
    return text(measure.replace("_", " "))
