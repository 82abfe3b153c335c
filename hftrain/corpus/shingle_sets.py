"""The sets of word 5-grams of texts, and how similar two of them are.

Shape legend: P pairs, S shingles.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Hashes, Integers, in_batches
from hftrain.corpus.minhash import shingles

Floats = NDArray[numpy.float64]
Texts = Callable[[Sequence[int]], Sequence[str]]
"""Gives the texts of some documents, which are asked for in ascending order."""

BLOCK_DOCUMENTS = 256
FETCHED_DOCUMENTS = 64
CACHED_SHINGLES = 16_000_000
"""Shingles that are kept for the next comparison: 8 bytes each."""


class ShingleSets:
    """The shingle sets of documents, made when asked for; the last ones asked for are kept."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._sets: OrderedDict[int, Hashes] = OrderedDict()
        self._kept = 0

    def jaccard(self, first_P: Integers, second_P: Integers) -> Floats:
        """The exact similarity of each pair; 0 for a text without words."""
        similar = numpy.zeros(len(first_P))
        order = numpy.lexsort((first_P, second_P))
        begin = 0
        while begin < len(order):
            end = begin + BLOCK_DOCUMENTS
            block = order[begin:end]
            sets = self._of(numpy.unique(numpy.concatenate([first_P[block], second_P[block]])).tolist())
            block = block[numpy.lexsort((second_P[block], first_P[block]))]
            edges = numpy.flatnonzero(numpy.diff(first_P[block])) + 1
            for group in numpy.split(block, edges):
                others = [sets[other] for other in second_P[group].tolist()]
                similar[group] = _jaccard_of(sets[int(first_P[group[0]])], others)
            begin = end
        return similar

    def _of(self, documents: list[int]) -> dict[int, Hashes]:
        found = {}
        missing = []
        for document in documents:
            if document in self._sets:
                self._sets.move_to_end(document)
                found[document] = self._sets[document]
            else:
                missing.append(document)
        for begin in range(0, len(missing), FETCHED_DOCUMENTS):
            asked = iter(missing[begin : begin + FETCHED_DOCUMENTS])
            for batch in in_batches(self._texts(missing[begin : begin + FETCHED_DOCUMENTS])):
                offsets, numbers = shingles(batch)
                for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
                    document = next(asked)
                    found[document] = self._sets[document] = numpy.unique(numbers[start:end])
                    self._kept += len(found[document])
        while self._kept > CACHED_SHINGLES and len(self._sets) > 1:
            self._kept -= len(self._sets.popitem(last=False)[1])
        return found


def _jaccard_of(one_S: Hashes, others: Sequence[Hashes]) -> Floats:
    """The similarity of a set to each of some others; all are sorted."""
    sizes = numpy.array([len(other) for other in others])
    numbers = numpy.concatenate(others)
    if not len(one_S) or not len(numbers):
        return numpy.zeros(len(others))
    places = numpy.minimum(numpy.searchsorted(one_S, numbers), len(one_S) - 1)
    running = numpy.concatenate([[0], numpy.cumsum(one_S[places] == numbers)])
    ends = numpy.cumsum(sizes)
    common = running[ends] - running[ends - sizes]
    return common / numpy.maximum(len(one_S) + sizes - common, 1)
