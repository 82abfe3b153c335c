"""Merges of byte-pair encoding learned from counted words.

The merges are those of tokenizers' ``BpeTrainer``, which takes text only and counts its words first, the slower part by
far. Source: Sennrich et al. 2016, arXiv:1508.07909; which pair comes first among equals follows
https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/models/bpe/trainer.rs
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from hftrain.runtime import progress

Places = NDArray[numpy.int64]

FEW = 64
"""Up to so many places, a loop is faster than arrays."""
FLOOR_SHARE = 1 / 4
"""Of the commonest pair's count: rarer pairs are not looked at before that one and its like are used up."""
SIEVE = 2**16
"""Numbers that pairs are thrown into, to find most of the rare ones without sorting."""
LOW = (1 << 64) - 1
MERGED = -2
"""The symbol at a place whose letters went to the place before."""


def learn_merges(
    word_counts: Mapping[str, int], alphabet: Sequence[str], *, vocab_size: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Join the commonest pair of neighbours again and again, until there are ``vocab_size`` tokens or no pair.

    Among equally common pairs, the one of the smallest ids comes first.

    Args:
        word_counts: Words of single-character tokens, and how often each occurs.
        alphabet: The tokens to begin with, in the order of their ids.
        vocab_size: Tokens wanted, the alphabet included.

    Returns:
        Token -> id, and the merges in order.
    """
    learner = _Learner(word_counts, alphabet)
    with progress(total=max(0, vocab_size - len(alphabet)), unit="token", description="learning merges") as bar:
        while len(learner.tokens) < vocab_size and learner.merge_next():
            bar.update()
    return learner.ids, learner.merges


class _Learner:
    """Words as linked symbols, and where pairs of neighbours occur.

    ``symbol``, ``after``, ``before`` and ``weight`` have one entry a place, the letters of all words in a row; the
    first place of a token stands for it. A pair is one number, the left id above the right one's 32 bits.

    A pair that is there becomes rarer only, as its neighbours go into other tokens. So a count is never kept up to
    date: an entry of the heap, minus a count above the pair's 64 bits, says how common the pair was, and it is counted
    again when its turn comes. Pairs rarer than ``floor`` are not known at all until the others are used up.
    """

    def __init__(self, word_counts: Mapping[str, int], alphabet: Sequence[str]) -> None:
        self.tokens = list(alphabet)
        self.ids = {token: index for index, token in enumerate(alphabet)}
        self.merges: list[tuple[str, str]] = []
        words = [word for word in word_counts if word]
        lengths = numpy.fromiter(map(len, words), dtype=numpy.int64, count=len(words))
        letters = numpy.frombuffer("".join(words).encode("utf-32-le"), dtype=numpy.uint32)
        known = {ord(token): index for token, index in self.ids.items() if len(token) == 1}
        table = numpy.zeros(max(known, default=0) + 1, dtype=numpy.int64)
        table[list(known)] = list(known.values())
        self.symbol: Places = table[letters]
        counts = numpy.fromiter((word_counts[word] for word in words), dtype=numpy.int64, count=len(words))
        self.weight: Places = numpy.repeat(counts, lengths)
        ends = numpy.cumsum(lengths)
        self.after: Places = numpy.arange(1, len(letters) + 1)
        self.before: Places = numpy.arange(-1, len(letters) - 1)
        self.after[ends - 1] = self.before[ends[:-1]] = -1
        arrays: tuple[Any, ...] = (self.symbol, self.after, self.before, self.weight)
        self._scalars = tuple(memoryview(array) for array in arrays)  # one element is read twice as fast
        self.places: dict[int, list[int] | Places] = {}
        self.heap: list[int] = []
        self.floor = int(counts.sum()) + 1
        """Every pair as common as this is in the heap."""

    def merge_next(self) -> bool:
        """Join the commonest pair everywhere; False where no pair is left."""
        while True:
            while self.heap:
                entry = heapq.heappop(self.heap)
                pair, said = entry & LOW, -(entry >> 64)
                left, right = pair >> 32, pair & 0xFFFFFFFF
                places, count = self._places_now(pair, left, right)
                if count == said:
                    self._merge(left, right, places)
                    return True
                if count >= self.floor:
                    self._remember(pair, count, places)
            if self.floor <= 1 or not self._find_more():
                return False

    def _places_now(self, pair: int, left: int, right: int) -> tuple[list[int] | Places, int]:
        """Of the places that the pair had, those where it still stands, and how often it occurs."""
        places = self.places.pop(pair)
        if isinstance(places, list) or len(places) <= FEW:
            symbol, after, _, weight = self._scalars
            few = [
                place
                for place in (places if isinstance(places, list) else places.tolist())
                if symbol[place] == left and (second := after[place]) >= 0 and symbol[second] == right
            ]
            return few, sum([weight[place] for place in few])
        seconds = self.after[places]
        places = places[(self.symbol[places] == left) & (seconds >= 0) & (self.symbol[seconds] == right)]
        return places if len(places) > FEW else places.tolist(), int(self.weight[places].sum())

    def _remember(self, pair: int, count: int, places: list[int] | Places) -> None:
        self.places[pair] = places
        heapq.heappush(self.heap, -count << 64 | pair)

    def _find_more(self) -> bool:
        """Lower the floor and count again what stands beside each other; False where nothing does."""
        places = numpy.flatnonzero((self.symbol != MERGED) & (self.after >= 0))
        if not len(places):
            return False
        pairs, weights = self.symbol[places] << 32 | self.symbol[self.after[places]], self.weight[places]
        sieve = (pairs ^ pairs >> 25) % SIEVE
        at_most = numpy.bincount(sieve, weights, SIEVE)
        self.floor = max(1, int(min(self.floor - 1, at_most.max()) * FLOOR_SHARE))
        left = at_most[sieve] >= self.floor
        self._add(pairs[left], weights[left], places[left])
        return True

    def _add(self, pairs: Places, weights: Places, places: Places) -> None:
        """Take up what is common enough."""
        for pair, count, where in _grouped(pairs, weights, places, self.floor):
            self._remember(pair, count, where)

    def _merge(self, left: int, right: int, places: list[int] | Places) -> None:
        token = self.tokens[left] + self.tokens[right]
        new = self.ids.setdefault(token, len(self.tokens))
        is_new = new == len(self.tokens)
        if is_new:
            self.tokens.append(token)
        self.merges.append((self.tokens[left], self.tokens[right]))
        if left == right:
            places = _without_overlaps(numpy.array(sorted(places)), self.after)
        if isinstance(places, list):
            self._merge_few(new, places)
        else:
            self._merge_many(new, places)
        if not is_new:  # pairs with a token that other merges made before can become more common: count all again
            self.places, self.heap = {}, []
            self.floor = round(self.floor / FLOOR_SHARE)

    def _merge_few(self, new: int, places: list[int]) -> None:
        symbol, after, before, weight = self._scalars
        for place in places:
            second = after[place]
            following = after[second]
            symbol[place], symbol[second], after[place] = new, MERGED, following
            if following >= 0:
                before[following] = place
        made: dict[int, list[int]] = {}
        for place in places:
            previous, following = before[place], after[place]
            if previous >= 0:
                made.setdefault(symbol[previous] << 32 | new, []).append(previous)
            if following >= 0 and (other := symbol[following]) != new:
                made.setdefault(new << 32 | other, []).append(place)
        for pair, where in made.items():
            count = sum([weight[place] for place in where])
            if count >= self.floor:
                self._remember(pair, count, where)

    def _merge_many(self, new: int, places: Places) -> None:
        symbol, after, before = self.symbol, self.after, self.before
        seconds = after[places]
        following = after[seconds]
        symbol[places], symbol[seconds], after[places] = new, MERGED, following
        has_following = following >= 0
        before[following[has_following]] = places[has_following]
        previous, other = before[places], symbol[following]
        has_following &= other != new  # which that one has before it
        has_previous = previous >= 0
        previous = previous[has_previous]
        self._add(
            numpy.concatenate([symbol[previous] << 32 | new, new << 32 | other[has_following]]),
            numpy.concatenate([self.weight[previous], self.weight[places[has_following]]]),
            numpy.concatenate([previous, places[has_following]]),
        )


def _grouped(keys: Places, weights: Places, places: Places, floor: int) -> Iterator[tuple[int, int, Places]]:
    """Each different key whose weights sum to ``floor`` or more, their sum, and its places."""
    if not len(keys):
        return
    order = numpy.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    first = numpy.concatenate([[0], numpy.flatnonzero(keys[1:] != keys[:-1]) + 1])
    sums, ends = numpy.add.reduceat(weights[order], first), numpy.append(first[1:], len(keys))
    common = numpy.flatnonzero(sums >= floor)
    columns = (each[common].tolist() for each in (keys[first], sums, first, ends))
    for key, total, begin, end in zip(*columns, strict=True):
        yield key, total, places[begin:end]


def _without_overlaps(places: Places, after: Places) -> Places:
    """Of the places of a token before itself, those at which a reader from the left joins two: aaaaa -> aa aa a."""
    follows = numpy.concatenate([[False], after[places[:-1]] == places[1:]])
    first_of_run = numpy.maximum.accumulate(numpy.where(follows, 0, numpy.arange(len(places))))
    kept: Places = places[(numpy.arange(len(places)) - first_of_run) % 2 == 0]
    return kept
