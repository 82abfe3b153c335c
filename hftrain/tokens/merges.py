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
    """Words as linked symbols, and of each pair of neighbours how often and where it occurs.

    ``symbol``, ``after``, ``before`` and ``weight`` have one entry a place, the letters of all words in a row; the
    first place of a token stands for it. A pair is one number, the left id above the right one's 32 bits; an entry of
    the heap is another, minus the pair's count above the pair's 64.
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
        self.count: dict[int, int] = {}
        self.few: dict[int, list[int]] = {}
        self.many: dict[int, list[Places]] = {}
        self.heap: list[int] = []
        pairs = numpy.flatnonzero(self.after >= 0)
        for pair, count, where in _grouped(
            self.symbol[pairs] << 32 | self.symbol[self.after[pairs]], self.weight[pairs], pairs
        ):
            self._add(pair, count, where)

    def merge_next(self) -> bool:
        """Join the commonest pair everywhere; False where no pair is left."""
        while self.heap:
            entry = heapq.heappop(self.heap)
            pair = entry & LOW
            count = self.count.get(pair, 0)
            if count == -(entry >> 64):
                break
            if count > 0:  # it became rarer since it was put here
                heapq.heappush(self.heap, -count << 64 | pair)
        else:
            return False
        left, right = pair >> 32, pair & 0xFFFFFFFF
        token = self.tokens[left] + self.tokens[right]
        new = self.ids.setdefault(token, len(self.tokens))
        if new == len(self.tokens):
            self.tokens.append(token)
        self.merges.append((self.tokens[left], self.tokens[right]))
        few, many = self.few.pop(pair, []), self.many.pop(pair, [])
        del self.count[pair]
        if many or len(few) > FEW:
            self._merge_many(left, right, new, numpy.concatenate([*many, numpy.array(few, dtype=numpy.int64)]))
        else:
            self._merge_few(left, right, new, sorted(few) if left == right else few)
        return True

    def _merge_few(self, left: int, right: int, new: int, places: list[int]) -> None:
        symbol, after, before, weight = self._scalars
        changed: dict[int, int] = {}
        for place in places:
            if symbol[place] != left or (second := after[place]) < 0 or symbol[second] != right:
                continue
            count, previous, following = weight[place], before[place], after[second]
            if previous >= 0:
                other = symbol[previous] << 32
                changed[other | left] = changed.get(other | left, 0) - count
                changed[other | new] = changed.get(other | new, 0) + count
                self.few.setdefault(other | new, []).append(previous)
            if following >= 0:
                other = symbol[following]
                changed[right << 32 | other] = changed.get(right << 32 | other, 0) - count
                changed[new << 32 | other] = changed.get(new << 32 | other, 0) + count
                self.few.setdefault(new << 32 | other, []).append(place)
                before[following] = place
            symbol[place], symbol[second], after[place] = new, MERGED, following
        for pair, change in changed.items():
            if change > 0 or pair in self.count:
                self.count[pair] = self.count.get(pair, 0) + change
            if change > 0:
                heapq.heappush(self.heap, -self.count[pair] << 64 | pair)

    def _merge_many(self, left: int, right: int, new: int, places: Places) -> None:
        symbol, after, before = self.symbol, self.after, self.before
        seconds = after[places]
        places = places[(symbol[places] == left) & (seconds >= 0) & (symbol[seconds] == right)]
        if left == right:
            places = _without_overlaps(numpy.sort(places), after)
        seconds = after[places]
        following, previous, weight = after[seconds], before[places], self.weight[places]
        has_following = following >= 0
        following_places, following = places[has_following], following[has_following]
        old = symbol[following]
        symbol[places], symbol[seconds], after[places] = new, MERGED, after[seconds]
        before[following] = following_places
        # A neighbour that was merged too counts the pair between them, as what follows it.
        has_previous = (previous >= 0) & (symbol[previous] != MERGED)
        previous = previous[has_previous]
        neighbours = numpy.concatenate([symbol[following] << 2 | (symbol[following] != old), symbol[previous] << 2 | 2])
        weights = numpy.concatenate([weight[has_following], weight[has_previous]])
        for code, count, where in _grouped(neighbours, weights, numpy.concatenate([following_places, previous])):
            other = code >> 2
            if code & 2:
                gone, made = other << 32 | left, other << 32 | new
            else:
                gone, made = right << 32 | (left if code & 1 else other), new << 32 | other
            if gone in self.count:
                self.count[gone] -= count
            self._add(made, count, where)

    def _add(self, pair: int, count: int, where: Places) -> None:
        self.count[pair] = count = self.count.get(pair, 0) + count
        if len(where) <= FEW:
            self.few.setdefault(pair, []).extend(where.tolist())
        else:
            self.many.setdefault(pair, []).append(where)
        heapq.heappush(self.heap, -count << 64 | pair)


def _grouped(keys: Places, weights: Places, places: Places) -> Iterator[tuple[int, int, Places]]:
    """Each different key, the sum of its weights, and its places."""
    if not len(keys):
        return
    order = numpy.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    first = numpy.concatenate([[0], numpy.flatnonzero(keys[1:] != keys[:-1]) + 1])
    sums = numpy.add.reduceat(weights[order], first).tolist()
    bounds = [*first.tolist(), len(keys)]
    for key, total, begin, end in zip(keys[first].tolist(), sums, bounds, bounds[1:], strict=False):
        yield key, total, places[begin:end]


def _without_overlaps(places: Places, after: Places) -> Places:
    """Of the places of a token before itself, those at which a reader from the left joins two: aaaaa -> aa aa a."""
    follows = numpy.concatenate([[False], after[places[:-1]] == places[1:]])
    first_of_run = numpy.maximum.accumulate(numpy.where(follows, 0, numpy.arange(len(places))))
    kept: Places = places[(numpy.arange(len(places)) - first_of_run) % 2 == 0]
    return kept
