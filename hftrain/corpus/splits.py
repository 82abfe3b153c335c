"""What later stages read of a corpus: the texts and the conversations of a split."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy

from hftrain.corpus.storage import read_rows
from hftrain.errors import DataError

Split = Literal["train", "heldout"]


def texts_of(corpus: Path, split: Split, *, shuffled_by: int | None = None) -> Iterator[str]:
    """The documents' texts, in order or shuffled by a seed; read from disk a batch at a time."""
    rows = read_rows(corpus / split)
    if not len(rows):
        raise DataError(f"{corpus / split}: no documents. At least one is needed. Collect more text.")
    if shuffled_by is not None:
        rows = rows.select(numpy.random.default_rng(shuffled_by).permutation(len(rows)))
    for batch in rows.select_columns("text").iter(batch_size=1000):
        yield from batch["text"]


def conversations_of(corpus: Path, split: Split, *, needed: bool = True) -> list[list[dict[str, Any]]]:
    """The conversations of a split as lists of messages.

    Raises:
        DataError: There are none, and some are needed.
    """
    rows = read_rows(corpus / "conversations" / split)
    if needed and not len(rows):
        raise DataError(
            f"{corpus / 'conversations' / split}: no conversations. At least one is needed. "
            "Name some under collect.conversations."
        )
    return list(rows["messages"])


def up_to_bytes(texts: Iterable[str], size: int) -> Iterator[str]:
    """The first texts up to ``size`` UTF-8 bytes in all, the last one cut between two characters."""
    for text in texts:
        encoded = text.encode()
        if len(encoded) >= size:
            if piece := encoded[:size].decode(errors="ignore"):
                yield piece
            return
        size -= len(encoded)
        if text:
            yield text


def take_bytes(texts: Iterable[str], size: int) -> list[str]:
    """What ``up_to_bytes`` gives, as a list; the total is within three bytes of ``size``, or less where texts end."""
    return list(up_to_bytes(texts, size))
