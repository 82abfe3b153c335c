"""Looking for a few known words among all words of a batch, by their numbers."""

from collections.abc import Sequence

import numpy

from hftrain.corpus.batches import Batch, Hashes, Integers

TABLE_SIZE = 1 << 16


class KnownHashes:
    """A small set of texts without white space, to be found by the number that a batch gives to them."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Keep the numbers, and a table by their lowest bits that rules out most other words at once."""
        hashes = Batch([" ".join(texts)]).chunk_hashes_K
        self._order = numpy.argsort(hashes)
        self._sorted = hashes[self._order]
        self._table = numpy.zeros(TABLE_SIZE, numpy.bool_)
        self._table[hashes & (TABLE_SIZE - 1)] = True

    def find(self, hashes: Hashes) -> tuple[Integers, Integers]:
        """Where known texts stand, in order, and which of them each is."""
        asked = numpy.flatnonzero(self._table[hashes & (TABLE_SIZE - 1)])
        near = numpy.minimum(numpy.searchsorted(self._sorted, hashes[asked]), len(self._sorted) - 1)
        hits = self._sorted[near] == hashes[asked]
        return asked[hits], self._order[near[hits]]
