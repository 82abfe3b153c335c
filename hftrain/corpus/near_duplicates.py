"""Near-duplicates: pairs of texts whose word 5-grams are mostly the same, and which of them stays.

Texts that share a band of their signatures (``minhash``) are candidates; of these the exact Jaccard
similarity of the shingle sets is computed from the texts, and nothing is dropped on an estimate.

What is compared: all candidates of a bucket (the texts with one number in one band) of up to
``WHOLE_BUCKET`` texts. In a larger one each text is compared with up to ``LEADERS`` leaders of the bucket,
the preferred one and others at even distances in order of preference. A text similar to a preferred leader
is absorbed: the pair is noted and the text is in no bucket of a later band; the others go on to the next
band. Then, who was absorbed by a leader that goes for a third text is compared with the third. All this is
repeated among the texts that stay until none is absorbed, or ``PASSES`` times. So 50,000 equal texts cost
50,000 comparisons; what may be missed are pairs that share large buckets alone, neither text a leader in any.

Shape legend: D documents, B bands, P pairs, S shingles.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Hashes, Integers
from hftrain.corpus.minhash import NO_SHINGLE
from hftrain.corpus.shingle_sets import BLOCK_DOCUMENTS, Floats, ShingleSets, Texts

Mask = NDArray[numpy.bool_]

WHOLE_BUCKET = 16
LEADERS = 8
PASSES = 5
COLUMNS_AT_ONCE = 4


@dataclass(frozen=True)
class Pairs:
    """Pairs of similar documents by number, in ascending order, each once, ``first_P < second_P``."""

    first_P: Integers
    second_P: Integers
    jaccard_P: Floats

    def __len__(self) -> int:
        return len(self.first_P)


def near_duplicate_pairs(
    bands_DB: Hashes,
    texts: Texts,
    threshold: float,
    *,
    preference_D: Floats | None = None,
    among: Mask | None = None,
) -> Pairs:
    """Find pairs with a Jaccard similarity of at least ``threshold``; each is verified.

    Args:
        bands_DB: ``minhash.signatures`` of all documents, or a memory map of them.
        texts: Gives the texts that the signatures are of.
        threshold: That of ``minhash.rows_of_bands``.
        preference_D: Larger for a document that should rather stay; by default all are equal. Two documents of
            infinite preference are not compared.
        among: False for documents that are left out. Shape (D,).

    Memory: some 120 bytes a document, 8 a candidate, and that of ``ShingleSets``.
    """
    count = len(bands_DB)
    if preference_D is None:
        preference_D = numpy.zeros(count)
    search = _Search(ShingleSets(texts), threshold, preference_D, numpy.zeros(count, bool) if among is None else ~among)
    while search.begin_pass():
        for column_D in _columns(bands_DB):
            search.compare_buckets(column_D)
        search.compare_candidates()
        search.follow_leaders()
    return search.pairs()


def ranks(preference_D: Floats) -> Integers:
    """The place of each document in order of preference, the most preferred at 0; of two equal the earlier first."""
    rank_D = numpy.empty(len(preference_D), numpy.int64)
    rank_D[numpy.argsort(-preference_D, kind="stable")] = numpy.arange(len(preference_D))
    return rank_D


@dataclass(frozen=True)
class Choice:
    """Which documents go, in ascending order, and for which similar one each, that stays."""

    dropped_P: Integers
    kept_P: Integers
    jaccard_P: Floats

    def __len__(self) -> int:
        return len(self.dropped_P)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        """Yield dropped document, the one that stays for it, and their similarity."""
        for place in range(len(self)):
            yield int(self.dropped_P[place]), int(self.kept_P[place]), float(self.jaccard_P[place])


def choose(pairs: Pairs, preference_D: Floats) -> Choice:
    """Decide who goes: each that goes is similar to one that is preferred and stays.

    The documents are gone through in order of preference, the earlier of two equal first; each that has not
    gone yet stays, and all that are similar to it go. A document of infinite preference never goes.
    """
    rank_D = ranks(preference_D)
    swapped = rank_D[pairs.first_P] > rank_D[pairs.second_P]
    better = numpy.where(swapped, pairs.second_P, pairs.first_P)
    worse = numpy.where(swapped, pairs.first_P, pairs.second_P)
    order = numpy.lexsort((rank_D[worse], rank_D[better]))
    order = order[~numpy.isposinf(preference_D[worse[order]])]
    is_gone = bytearray(len(preference_D))
    deciding: list[int] = []
    for place in order:
        one, other = better[place], worse[place]
        if not is_gone[one] and not is_gone[other]:
            is_gone[other] = True
            deciding.append(place)
    chosen = numpy.array(deciding, numpy.int64)
    chosen = chosen[numpy.argsort(worse[chosen])]
    return Choice(worse[chosen], better[chosen], pairs.jaccard_P[chosen])


def _columns(bands_DB: Hashes) -> Iterator[Hashes]:
    """The columns one after another; four are read at once, since a row lies together on disk."""
    for begin in range(0, bands_DB.shape[1], COLUMNS_AT_ONCE):
        yield from numpy.array(bands_DB[:, begin : begin + COLUMNS_AT_ONCE].T, order="C")


def _buckets(column_D: Hashes, out_D: Mask, rank_D: Integers) -> tuple[Integers, Integers]:
    """Documents that share their number with others, bucket by bucket, the preferred first; and the bounds."""
    values = numpy.where(out_D, NO_SHINGLE, column_D)
    order = numpy.argsort(values)
    values = values[order]
    equal = (values[1:] == values[:-1]) & (values[1:] != NO_SHINGLE)
    shared = numpy.flatnonzero(numpy.append(equal, False) | numpy.append(False, equal))
    documents, values = order[shared], values[shared]
    documents = documents[numpy.lexsort((rank_D[documents], values))]
    edges = numpy.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = numpy.concatenate([[0], edges, [len(values)]]) if len(values) else numpy.zeros(1, numpy.int64)
    return documents, bounds


def _pairs_within(documents: Integers, buckets: Integers) -> tuple[Integers, Integers]:
    """All pairs of neighbours up to ``WHOLE_BUCKET`` apart that are in one bucket."""
    firsts, seconds = [documents[:0]], [documents[:0]]
    for distance in range(1, WHOLE_BUCKET):
        together = numpy.flatnonzero(buckets[distance:] == buckets[:-distance])
        if not len(together):
            break
        firsts.append(documents[together])
        seconds.append(documents[together + distance])
    return numpy.concatenate(firsts), numpy.concatenate(seconds)


class _Search:
    """Pairs found so far, and who is out of the buckets of the bands to come."""

    def __init__(self, sets: ShingleSets, threshold: float, preference_D: Floats, out_D: Mask) -> None:
        self._sets = sets
        self._threshold = threshold
        self._preference_D = preference_D
        self._rank_D = ranks(preference_D)
        self._protected_D = numpy.isposinf(preference_D)
        self._out_D = out_D
        self._left_out_D = out_D.copy()
        self._passes = 0
        self._leader_D = numpy.full(len(out_D), -1)
        self._candidates = numpy.empty(0, numpy.int64)
        self._found: list[tuple[Integers, Floats]] = []

    def begin_pass(self) -> bool:
        """Whether documents of large buckets are to be compared once more, those that are left among themselves."""
        if self._passes == PASSES or self._passes and (self._leader_D < 0).all():
            return False
        if self._passes:
            self._out_D = self._left_out_D.copy()
            self._out_D[choose(self.pairs(), self._preference_D).dropped_P] = True
        self._passes += 1
        self._leader_D[:] = -1
        self._candidates = self._candidates[:0]
        return True

    def pairs(self) -> Pairs:
        """What was found, each pair once."""
        codes, places = numpy.unique(numpy.concatenate([codes for codes, _ in self._found]), return_index=True)
        first, second = numpy.divmod(codes, max(len(self._out_D), 1))
        return Pairs(first, second, numpy.concatenate([jaccard for _, jaccard in self._found])[places])

    def compare_buckets(self, column_D: Hashes) -> None:
        """Note the candidates of small buckets, and go through large ones at once."""
        documents, bounds = _buckets(column_D, self._out_D, self._rank_D)
        sizes = numpy.diff(bounds)
        buckets = numpy.repeat(numpy.arange(len(sizes)), sizes)
        small = sizes[buckets] <= WHOLE_BUCKET
        first, second = _pairs_within(documents[small], buckets[small])
        apart = ~(self._protected_D[first] & self._protected_D[second])
        self._candidates = numpy.union1d(self._candidates, self._codes(first[apart], second[apart]))
        for bucket in numpy.flatnonzero(sizes > WHOLE_BUCKET):
            self._compare_with_leaders(documents[bounds[bucket] : bounds[bucket + 1]])

    def compare_candidates(self) -> None:
        """Compare the candidates of all small buckets."""
        first, second = numpy.divmod(self._candidates, max(len(self._out_D), 1))
        self._similar(first, second)

    def follow_leaders(self) -> None:
        """Compare who was absorbed by a leader that goes with the one for which that leader goes."""
        # Ends, since the leader of each is a more preferred one from turn to turn.
        while (self._leader_D >= 0).any():
            choice = choose(self.pairs(), self._preference_D)
            keeper_D = numpy.full(len(self._out_D), -1)
            keeper_D[choice.dropped_P] = choice.kept_P
            left = numpy.flatnonzero((self._leader_D >= 0) & (keeper_D < 0))
            if not len(left):
                return
            keepers = keeper_D[self._leader_D[left]]
            similar = self._similar(keepers, left)
            self._leader_D[left] = numpy.where(similar, keepers, -1)

    def _compare_with_leaders(self, members: Integers) -> None:
        """Compare the members of a large bucket, in order of preference, with its leaders; who is absorbed is out."""
        places = numpy.unique(numpy.linspace(0, len(members) - 1, LEADERS).astype(numpy.int64))
        staying: list[int] = []
        for place in places.tolist():
            before = numpy.array(staying, numpy.int64)
            if not self._absorb(members[before], numpy.full(len(before), members[place])).any():
                staying.append(place)
        others = numpy.delete(numpy.arange(len(members)), places)
        for block in numpy.split(others, range(BLOCK_DOCUMENTS, len(others), BLOCK_DOCUMENTS)):
            for place in staying:
                behind = block > place
                self._absorb(numpy.full(int(behind.sum()), members[place]), members[block[behind]])
                if not self._protected_D[members[place]]:
                    ahead = members[block[~behind]]
                    self._similar(numpy.full(len(ahead), members[place]), ahead)

    def _absorb(self, leaders: Integers, members: Integers) -> Mask:
        """Compare members with leaders that are preferred to them; those similar to one are out."""
        free = ~self._protected_D[members]
        similar = self._similar(leaders[free], members[free])
        absorbed = members[free][similar]
        self._leader_D[absorbed] = numpy.where(self._out_D[absorbed], self._leader_D[absorbed], leaders[free][similar])
        self._out_D[absorbed] = True
        return similar

    def _similar(self, first: Integers, second: Integers) -> Mask:
        """Compare documents, and note those pairs that are similar."""
        jaccard = self._sets.jaccard(first, second)
        similar = jaccard >= self._threshold
        self._found.append((self._codes(first, second)[similar], jaccard[similar]))
        return similar

    def _codes(self, first: Integers, second: Integers) -> Integers:
        """One number a pair, whatever its order."""
        return numpy.minimum(first, second) * len(self._out_D) + numpy.maximum(first, second)
