"""The page on the text: what was collected, what was kept, and the vocabulary it is written in."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, div, fold, join, note, span, table, tag
from hftrain.report.numbers import (
    count,
    decimal,
    is_number,
    percent,
    short_digest,
    size_in_bytes,
)
from hftrain.report.parts import Options, facts, figure, figures
from hftrain.report.reading import Artifact, as_list, as_mapping, at
from hftrain.report.sections_language import tokenizer_comparison

MOST_SOURCES = 200
SOURCE_COLUMNS = ("source", "licence", "rows", "size", "encoding", "passed over", "version or digest")


def collected(raw: Artifact, options: Options) -> Markup:
    """Where the text comes from, file by file."""
    summary = raw.summary
    sources = list(raw.rows("sources.jsonl"))
    largest = sorted(sources, key=lambda row: -_size(row))[:MOST_SOURCES]
    rows = [
        (
            clip(row.get("name"), 80),
            clip(row.get("license"), 40),
            count(row.get("documents")),
            size_in_bytes(row.get("bytes")),
            clip(row.get("encoding") or "", 20),
            _passed_over(row),
            _known_as(row),
        )
        for row in largest
    ]
    unread = [row for row in sources if row.get("unreadable")]
    return join(
        [
            facts(
                ("documents", count(summary.get("documents"))),
                ("conversations", count(summary.get("conversations"))),
                (
                    "sources",
                    count(len(sources)),
                    f"{len(unread)} could not be read" if unread else None,
                ),
            ),
            fold(
                f"The {len(rows)} largest of {len(sources)} sources" if len(rows) < len(sources) else "All sources",
                table(SOURCE_COLUMNS, rows, numeric_from=2),
            )
            if rows
            else None,
            *(note(clip(row.get("name"), 80), ": ", clip(row.get("unreadable"), 200)) for row in unread[:5]),
        ]
    )


def _passed_over(row: Mapping[str, Any]) -> str:
    """What of a source was not read on purpose, by reason."""
    reasons = as_mapping(row.get("passed_over"))
    return ", ".join(f"{clip(reason, 40)} {count(number)}" for reason, number in sorted(reasons.items()))


def tokenizer(made: Artifact, options: Options) -> Markup:
    """How compactly the vocabulary writes text, and what its pieces look like."""
    summary, vocabulary = made.summary, made.values("tokenizer.json")
    special = [
        token.get("content")
        for token in as_list(vocabulary.get("added_tokens"))
        if isinstance(token, Mapping) and token.get("special") is True
    ]
    ratios = {
        name: at(numbers, "bytes_per_token")
        for name, numbers in made.values("report.json").items()
        if is_number(at(numbers, "bytes_per_token"))
    }
    written = {name: decimal(value, 2) for name, value in ratios.items()}
    return join(
        [
            facts(
                ("tokens in the vocabulary", count(summary.get("tokens"))),
                ("bytes per token, held out", decimal(summary.get("heldout_bytes_per_token"), 2)),
                ("of the vocabulary in use", percent(summary.get("used_share"))),
            ),
            figures(
                figure(
                    plots.bars(ratios, title="Held-out compression", unit="bytes per token", texts=written),
                    "How much text one token stands for; single bytes would be 1. The more, the "
                    "less a model has to read and write.",
                )
                if ratios
                else None
            ),
            tokenizer_comparison(made),
            tag("h3", "Special tokens") if special else None,
            div("pieces", *(span("piece", token) for token in special)) if special else None,
            _pieces(vocabulary),
        ]
    )


def _pieces(vocabulary: Mapping[str, Any]) -> Markup | None:
    """The first pieces learned, which are the commonest, and the longest."""
    known = at(vocabulary, "model", "vocab")
    if not isinstance(known, Mapping):
        return None
    placed = sorted((number, text) for text, number in known.items() if is_number(number))
    texts = [text for _, text in placed]
    longer = [text for text in texts if len(text) > 1 and not text.startswith("<|")]
    if not longer:
        return None
    longest = sorted(longer, key=len, reverse=True)[:24]
    return join(
        [
            tag("h3", "Pieces"),
            note("A dot stands for the space before a word. The commonest pairs were joined first."),
            div("pieces", span("quiet", "first "), *(_piece(text) for text in longer[:32])),
            div("pieces", span("quiet", "last "), *(_piece(text) for text in longer[-24:])),
            div("pieces", span("quiet", "longest "), *(_piece(text) for text in longest)),
        ]
    )


def _piece(text: str) -> Markup:
    return span("piece", _as_text(text).replace(" ", "·").replace("\n", "↵"))


def _as_text(piece: str) -> str:
    """A byte-level piece as the text it stands for.

    Printable Latin-1 characters stand for their own byte, U+0100 and up for the others in their order.
    Source: Radford et al. 2019 (GPT-2), bytes_to_unicode.
    """
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in own]
    places = [ord(letter) if ord(letter) in own else ord(letter) - 256 for letter in piece]
    if not all(place in own or 0 <= place < len(others) for place in places):
        return piece
    return bytes(ord(letter) if ord(letter) in own else others[ord(letter) - 256] for letter in piece).decode(
        "utf-8", "replace"
    )


def _known_as(row: Mapping[str, Any]) -> str:
    digest, version = row.get("sha256"), row.get("version")
    return clip(version, 40) if isinstance(version, str) else short_digest(digest)


def _size(row: Mapping[str, Any]) -> float:
    size = row.get("bytes")
    return float(size) if is_number(size) else 0.0
