"""Texts without some of their lines."""

from collections.abc import Iterable
from dataclasses import dataclass

from hftrain.corpus.batches import Batch, Integers

SAID_CHARS = 200


@dataclass(frozen=True)
class Cut:
    """A text, with what was cut out of it."""

    text: str
    """What is left."""
    pieces: int = 0
    """Lines that were cut out."""
    bytes: int = 0
    """How much shorter the text is, in UTF-8."""
    said: str = ""
    """The beginning of the first line that was cut out."""


def without_lines(batch: Batch, lines: Integers) -> list[Cut]:
    """Cut out lines, given by their place among ``batch.lines``, in ascending order; one ``Cut`` a document.

    Where a line stood between empty lines, one of these goes with it.
    """
    bounds = batch.lines.offsets.searchsorted(lines, side="right") - 1
    of_document: dict[int, list[int]] = {}
    for document, line in zip(bounds.tolist(), lines.tolist(), strict=True):
        of_document.setdefault(document, []).append(line - int(batch.lines.offsets[document]))
    return [
        _without(text, of_document[document]) if document in of_document else Cut(text)
        for document, text in enumerate(batch.texts)
    ]


def _without(text: str, places: Iterable[int]) -> Cut:
    lines = text.split("\n")
    cut = set(places)
    left: list[str] = []
    follows_cut = False
    for place, line in enumerate(lines):
        if place in cut:
            follows_cut = True
            continue
        if follows_cut and not line.strip() and (not left or not left[-1].strip()):
            continue
        follows_cut = False
        left.append(line)
    after = "\n".join(left)
    size_bytes = len(text.encode()) - len(after.encode())
    return Cut(after, len(cut), size_bytes, lines[min(cut)].strip()[:SAID_CHARS])
