"""Finding the few words of a list among the many of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Hashes, Integers

SEEN_BITS = 20


@dataclass(frozen=True)
class KnownWords:
    """The numbers of some words, as ``Batch.word_hashes_W`` (or ``chunk_hashes_K``) gives them, in rising order.

    Shape legend: V known words, W words of a batch, F of these that are known.
    """

    hashes_V: Hashes

    @classmethod
    def of_chunks(cls, texts: Sequence[str]) -> Self:
        """Texts without white space, known as ``Batch.chunk_hashes_K`` gives them: case and marks told apart."""
        return cls(numpy.sort(Batch([" ".join(texts)]).chunk_hashes_K))

    def find(self, hashes_W: Hashes) -> tuple[Integers, Integers]:
        """Positions of the known words, and the place of each in ``hashes_V``. Both (F,)."""
        maybe = numpy.flatnonzero(self._seen[hashes_W & numpy.uint64(len(self._seen) - 1)])
        candidates = hashes_W[maybe]
        places = numpy.minimum(numpy.searchsorted(self.hashes_V, candidates), len(self.hashes_V) - 1)
        found = self.hashes_V[places] == candidates
        return maybe[found], places[found]

    @cached_property
    def _seen(self) -> NDArray[numpy.bool_]:
        """True at the lowest ``SEEN_BITS`` bits of each number: one look tells most other words apart."""
        seen = numpy.zeros(1 << SEEN_BITS, dtype=numpy.bool_)
        seen[self.hashes_V & numpy.uint64(len(seen) - 1)] = True
        return seen
