"""Finding the few words of a list among the many of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Hashes, Integers

SLOT_BITS = 18


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
        slots_W = hashes_W.view(numpy.int64) & ((1 << SLOT_BITS) - 1)
        maybe = numpy.flatnonzero(numpy.take(self._is_taken, slots_W))
        candidates = hashes_W[maybe]
        places = numpy.take(self._place_of, slots_W[maybe])
        found = numpy.take(self.hashes_V, places) == candidates
        if len(self._crowded_V):
            others = numpy.flatnonzero(~found)
            among = numpy.searchsorted(self.hashes_V, candidates[others]).clip(max=len(self.hashes_V) - 1)
            found[others] = self.hashes_V[among] == candidates[others]
            places[others] = among
        return maybe[found], places[found].astype(numpy.int64)

    @cached_property
    def _is_taken(self) -> NDArray[numpy.bool_]:
        """True at the lowest ``SLOT_BITS`` bits of each number: one look tells most other words apart."""
        is_taken = numpy.zeros(1 << SLOT_BITS, dtype=numpy.bool_)
        is_taken[self._slots_V] = True
        return is_taken

    @cached_property
    def _place_of(self) -> NDArray[numpy.int32]:
        """The place of a number, by its lowest bits; of those that share them the last one's."""
        place_of = numpy.zeros(1 << SLOT_BITS, dtype=numpy.int32)
        place_of[self._slots_V] = numpy.arange(len(self.hashes_V))
        return place_of

    @cached_property
    def _crowded_V(self) -> Integers:
        """The places that share their slot with another and are not found there."""
        return numpy.flatnonzero(self._place_of[self._slots_V] != numpy.arange(len(self.hashes_V)))

    @cached_property
    def _slots_V(self) -> Integers:
        return (self.hashes_V & numpy.uint64((1 << SLOT_BITS) - 1)).astype(numpy.int64)
