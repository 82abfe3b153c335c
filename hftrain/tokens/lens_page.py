"""The label lens on a terminal or as JSON: rows token by token, and what all of them come to.

Each state of a token has a sign as well as a colour, so that a pipe and an eye that tells no colours apart see it too:
⟦trained⟧, masked, ✂cut✂ and · for padding. The colours are the blue and the orange of Okabe and Ito's palette, which
people with any colour vision tell apart. Source: https://jfly.uni-koeln.de/color/
"""

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TextIO

from transformers import PreTrainedTokenizerFast

from hftrain.tokens.lens import CUT, IGNORED, MASKED, PAD, TRAINED, Seen, texts_of_tokens, tokens_by_source

Colour = Literal["always", "never", "auto"]
Piece = tuple[str, str]
"""A token's text, and its state."""

SHOWN_TOKENS = 400
SHOWN_SOURCES = 30
LONGEST_ROWS = 5
BEGINNING_CHARS = 60

RESET = "\x1b[0m"
STYLES = {TRAINED: "\x1b[1;38;5;32m", MASKED: "\x1b[2m", CUT: "\x1b[9;38;5;214m", PAD: "\x1b[38;5;244m"}
SIGNS = {TRAINED: ("⟦", "⟧"), MASKED: ("", ""), CUT: ("✂", "✂"), PAD: ("", "")}


@dataclass(frozen=True)
class Example:
    """One row, token by token."""

    title: str
    pieces: Sequence[Piece]


@dataclass
class Part:
    """What one kind of training reads."""

    name: str
    origin: str
    """Where the rows and the tokenizer are from, in words."""
    max_row_tokens: int
    max_left_out_share: float
    seen: Sequence[Seen]
    begins: Sequence[str]
    """How each that was seen begins."""
    examples: list[Example] = field(default_factory=list)
    batch_rows: int = 1
    padding_tokens: int = 0
    """In an epoch of shuffled batches."""
    account: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    """Why training on it would be refused."""

    def counts(self) -> dict[str, int]:
        """Rows, rows left out, and tokens by state."""
        total: Counter[str] = Counter(rows=0, left_out=0, trained=0, masked=0, cut=0)
        for count in tokens_by_source(self.seen).values():
            total.update(count)
        return {**total, PAD: self.padding_tokens}

    def longest(self) -> list[Seen]:
        """The longest rows, those left out among them."""
        return sorted(self.seen, key=lambda each: (-each.tokens, each.place))[:LONGEST_ROWS]

    def reasons(self) -> dict[str, int]:
        """Why rows were left out -> how many."""
        return dict(sorted(Counter(each.reason for each in self.seen if each.reason).items()))

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "name": self.name,
            "origin": self.origin,
            "max_row_tokens": self.max_row_tokens,
            "counts": self.counts(),
            "left_out": self.reasons(),
            "max_left_out_share": self.max_left_out_share,
            "batch_rows": self.batch_rows,
            "sources": tokens_by_source(self.seen),
            "longest": [
                {"tokens": each.tokens, "source": each.source, "left_out": each.reason, "begins": self._begin(each)}
                for each in self.longest()
            ],
            "account": dict(self.account),
            "examples": [
                {"title": each.title, "tokens": [{"text": text, "state": state} for text, state in each.pieces]}
                for each in self.examples
            ],
            "problem": self.problem,
        }

    def lines(self, *, in_colour: bool) -> Iterator[str]:
        """All of it as text."""
        counts, reasons = self.counts(), self.reasons()
        left_out = counts["left_out"]
        why = f" ({', '.join(f'{name} {count:,}' for name, count in reasons.items())})" if reasons else ""
        share = left_out / max(1, counts["rows"] + left_out)
        yield f"{self.name}: {self.origin}, at most {self.max_row_tokens:,} tokens in a row"
        yield (
            f"  {counts['rows']:,} rows; {left_out:,} left out{why}: a share of {share:.3f}, at most "
            f"{self.max_left_out_share:g} may be"
        )
        read = counts[TRAINED] + counts[MASKED]
        yield (
            f"  tokens: {_part(counts[TRAINED], read, TRAINED)}, {_part(counts[MASKED], read, MASKED)}; "
            f"{counts[CUT]:,} cut with the rows left out; {_part(self.padding_tokens, read + self.padding_tokens, PAD)}"
            f" in batches of {self.batch_rows}"
        )
        for name, account in self.account.items():
            yield f"  {name}: {account}"
        yield from self._table()
        yield "  longest:"
        for each in self.longest():
            fate = f", left out: {each.reason}" if each.reason else ""
            yield f"    {each.tokens:,} tokens ({each.source}{fate}): {self._begin(each)!r}"
        for example in self.examples:
            yield ""
            yield f"{example.title}, {len(example.pieces):,} tokens"
            yield painted(example.pieces, in_colour=in_colour)

    def _table(self) -> Iterator[str]:
        rows: list[tuple[str, ...]] = [("source", "rows", "left out", "trained", "masked", "trained share")]
        by_source = tokens_by_source(self.seen)
        largest = sorted(by_source, key=lambda name: -by_source[name][TRAINED])[:SHOWN_SOURCES]
        for source, count in by_source.items():
            if source not in largest:
                continue
            share = count[TRAINED] / max(1, count[TRAINED] + count[MASKED])
            numbers = (count["rows"], count["left_out"], count[TRAINED], count[MASKED])
            rows.append((source, *(f"{number:,}" for number in numbers), f"{100 * share:.1f} %"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            yield "  ".join(["  " + row[0].ljust(widths[0]), *cells])
        if len(by_source) > SHOWN_SOURCES:
            yield f"    and {len(by_source) - SHOWN_SOURCES:,} sources with fewer trained tokens"

    def _begin(self, seen: Seen) -> str:
        text = " ".join(self.begins[seen.place].split())
        return text if len(text) <= BEGINNING_CHARS else text[:BEGINNING_CHARS] + "…"


def pieces_of(
    tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], labels: Sequence[int], *, pad_to: int = 0, cut: bool = False
) -> list[Piece]:
    """The tokens of a row and their states; ``cut`` where the row is left out."""
    states = [CUT if cut else MASKED if label == IGNORED else TRAINED for label in labels]
    return list(zip(texts_of_tokens(tokenizer, ids), states, strict=True)) + [(str(tokenizer.pad_token), PAD)] * (
        pad_to - len(ids)
    )


def painted(pieces: Sequence[Piece], *, in_colour: bool) -> str:
    """A row as text: states by their signs, and by their colours too."""
    said = []
    for state, run in groupby(pieces[:SHOWN_TOKENS], key=lambda piece: piece[1]):
        texts = [text for text, _ in run]
        body = f"·×{len(texts)}" if state == PAD else _visible("".join(texts))
        before, after = SIGNS[state]
        said.append(f"{STYLES[state]}{before}{body}{after}{RESET}" if in_colour else f"{before}{body}{after}")
    left_out = len(pieces) - SHOWN_TOKENS
    return "".join(said) + (f" … (+{left_out:,} tokens)" if left_out > 0 else "")


def legend(*, in_colour: bool) -> str:
    """What the signs mean."""
    shown = painted([("trained", TRAINED), (" masked ", MASKED), ("cut", CUT), (" ", MASKED)], in_colour=in_colour)
    pad = painted([("", PAD)] * 3, in_colour=in_colour)
    return f"{shown}{pad} (padding, so many tokens). Only what is trained is learned; the end of turn must be."


def is_coloured(colour: Colour, out: TextIO) -> bool:
    """Whether to use colours: as told, else where a person looks and has not set ``NO_COLOR`` (https://no-color.org)."""
    if colour == "auto":
        return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return colour == "always"


def padding_in_batches(lengths: Sequence[int], *, batch_rows: int, seed: int) -> int:
    """Padding tokens in an epoch of batches, each as wide as its longest row, in an order shuffled by the seed."""
    order = random.Random(seed).sample(list(lengths), len(lengths))
    batches = [order[first : first + batch_rows] for first in range(0, len(order), batch_rows)]
    return sum(max(batch) * len(batch) - sum(batch) for batch in batches)


def _part(count: int, whole: int, state: str) -> str:
    return f"{count:,} {state} ({100 * count / max(1, whole):.1f} %)"


def _visible(text: str) -> str:
    """Line ends as a sign, and no control characters: a row cannot steer the terminal."""
    shown = text.replace("\n", "⏎")
    return "".join(char if char.isprintable() else "�" for char in shown)
