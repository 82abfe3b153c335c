"""Exact duplicates: texts that differ in letter case and white space at most."""

import hashlib

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import SPACE, Batch, Hashes, Integers

KEY_BYTES = 16
"""Among 2**32 texts, two different ones share a key of 16 bytes with probability 3e-20."""


def comparison_form(text: str) -> str:
    """The text as far as it matters for comparing: case folded, white space collapsed."""
    return " ".join(text.casefold().split())


class SeenTexts:
    """Remembers texts by a digest of their comparison form: about 100 bytes of memory each."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def saw(self, text: str) -> bool:
        """Whether an equal text was asked about before; remembers this one."""
        form = comparison_form(text).encode("utf-8")
        key = hashlib.blake2b(form, digest_size=KEY_BYTES).digest()
        if key in self._keys:
            return True
        self._keys.add(key)
        return False


def exact_keys(batch: Batch) -> Hashes:
    """A digest of each text in lower case with white space collapsed, as two numbers. Shape (D, 2)."""
    if not len(batch):
        return numpy.empty((0, 2), numpy.uint64)
    spaces_C = (batch.classes_C & SPACE) != 0
    spaced = batch.lowered_C.copy()
    spaced[numpy.flatnonzero(spaces_C & (spaced != ord(" ")))] = ord(" ")
    again = spaces_C.copy()
    again[1:] &= spaces_C[:-1]  # of a run of white space the first stands for all; before a text there is a line feed
    form = spaced[~again]
    # After each text there is a line feed: it, or the white space before it, ends the text's form.
    bounds_D = numpy.append(batch.starts_D, len(spaced))
    bounds = (form.itemsize * (bounds_D - numpy.searchsorted(numpy.flatnonzero(again), bounds_D))).tolist()
    data = memoryview(form).cast("B")
    digests = [
        hashlib.blake2b(data[start:end], digest_size=KEY_BYTES).digest()
        for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    return numpy.frombuffer(b"".join(digests), numpy.dtype("<u8")).reshape(-1, 2).astype(numpy.uint64, copy=False)


def exact_duplicates(keys_D2: Hashes, preference_D: NDArray[numpy.float64] | None = None) -> tuple[Integers, Integers]:
    """Which documents go because an equal one stays: the preferred one, the earlier of two equal.

    Args:
        keys_D2: ``exact_keys`` of all documents.
        preference_D: Larger for a document that should rather stay. Those of infinite preference all stay.

    Returns:
        The documents that go, in ascending order, and for each the one that stays.

    Memory: some 30 bytes a document beside the keys.
    """
    last = () if preference_D is None else (-preference_D,)
    order = numpy.lexsort((*last, keys_D2[:, 1], keys_D2[:, 0]))
    is_like_previous = numpy.zeros(len(order), bool)
    is_like_previous[1:] = True
    for column in (0, 1):
        column_D = keys_D2[order, column]
        is_like_previous[1:] &= column_D[1:] == column_D[:-1]
    heads = numpy.maximum.accumulate(numpy.where(is_like_previous, 0, numpy.arange(len(order))))
    goes = is_like_previous
    if preference_D is not None:
        goes = goes & ~numpy.isposinf(preference_D[order])
    dropped, kept = order[goes], order[heads[goes]]
    ascending = numpy.argsort(dropped)
    return dropped[ascending], kept[ascending]
