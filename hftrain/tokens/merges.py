"""Merges of byte-pair encoding learned from counted words.

The merges are those of tokenizers' ``BpeTrainer``, which takes text only and counts its words first, the slower part by
far. Source: Sennrich et al. 2016, arXiv:1508.07909; which pair comes first among equals follows
https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/models/bpe/trainer.rs
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy
import pyarrow as pa
from numpy.typing import NDArray

from hftrain.runtime import progress

Places = NDArray[numpy.int64]

FEW = 64
"""Up to so many places, a loop is faster than arrays."""
FLOOR_SHARE = 1 / 4
"""Of the commonest pair's count: rarer pairs are not looked at before that one and its like are used up."""
LOW = (1 << 64) - 1

Entry = tuple[int, list[int] | Places | None]
"""A pair's number with minus its count above the 64 bits, so that the commonest is the smallest; and its places."""
NOTHING: Entry = (0, None)
MERGED, END = -2, -1
"""The symbol at a place whose letters went to the place before, and at the place that stands for no further one."""


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
        learner.merge_up_to(vocab_size, bar.update)
    return learner.ids, learner.merges


class _Learner:
    """Words as linked symbols, and where pairs of neighbours occur.

    ``symbol``, ``after``, ``before`` and ``weight`` have one entry a place, the letters of all words in a row; the
    first place of a token stands for it. A pair is one number, the left id above the right one's 32 bits.

    A pair that is there becomes rarer only, as its neighbours go into other tokens. So a count is never kept up to
    date: an entry says how common the pair was, and it is counted again when its turn comes. Pairs rarer than ``floor``
    are not known at all until the others are used up. One place after the last stands for no place, so that nobody has
    to ask whether there is one.
    """

    def __init__(self, word_counts: Mapping[str, int], alphabet: Sequence[str]) -> None:
        self.tokens = list(alphabet)
        self.ids = {token: index for index, token in enumerate(alphabet)}
        self.merges: list[tuple[str, str]] = []
        lengths = numpy.fromiter(map(len, word_counts), dtype=numpy.int64, count=len(word_counts))
        letters = numpy.frombuffer("".join(word_counts).encode("utf-32-le"), dtype=numpy.uint32)
        known = {ord(token): index for token, index in self.ids.items() if len(token) == 1}
        table = numpy.zeros(max(known, default=0) + 1, dtype=numpy.int64)
        table[list(known)] = list(known.values())
        self.symbol: Places = numpy.append(table[letters], END)
        counts = numpy.fromiter(word_counts.values(), dtype=numpy.int64, count=len(word_counts))
        self.weight: Places = numpy.repeat(counts, lengths)
        ends = numpy.cumsum(lengths)
        end = len(letters)
        self.after: Places = numpy.minimum(numpy.arange(1, end + 2), end)
        self.before: Places = numpy.arange(-1, end)
        self.after[ends - 1] = self.before[ends - lengths] = end
        arrays: tuple[Any, ...] = (self.symbol, self.after, self.before, self.weight)
        self._scalars = tuple(memoryview(array) for array in arrays)  # one element is read twice as fast
        self.found: Iterator[Entry] = iter(())
        """Pairs that were counted in all words and whose turn has not come, the commonest first."""
        self.next_found: Entry = NOTHING
        self.made: dict[int, list[int] | Places] = {}
        """The places of pairs that merges made, or that were found to be rarer than said."""
        self.heap: list[int] = []
        """What these are, and how common."""
        self.floor = int(counts.sum()) + 1
        """Every pair as common as this is found or made."""

    def merge_up_to(self, vocab_size: int, done: Callable[[], object]) -> None:
        """Join the commonest pair everywhere, until there are so many tokens or no pair; ``done`` after each."""
        heap, made, tokens = self.heap, self.made, self.tokens
        while len(tokens) < vocab_size:
            entry, places = self.next_found
            if heap and heap[0] < entry:
                entry = heapq.heappop(heap)
                places = made.pop(entry & LOW)
            elif places is not None:
                self.next_found = next(self.found, NOTHING)
            elif self.floor > 1 and self._find_more():
                continue
            else:
                return
            pair, said = entry & LOW, -(entry >> 64)
            left, right = pair >> 32, pair & LOW >> 32
            now, count = self._places_now(left, right, said, places)
            if count == said:
                self._merge(left, right, now)
                done()
            elif count >= self.floor:
                self._remember(pair, count, now)

    def _places_now(
        self, left: int, right: int, said: int, places: list[int] | Places
    ) -> tuple[list[int] | Places, int]:
        """Of the places that a pair had, those where it still stands, and how often it occurs."""
        if not isinstance(places, list):
            if len(places) > FEW:
                places = places[(self.symbol[places] == left) & (self.symbol[self.after[places]] == right)]
                return places, int(self.weight[places].sum())
            places = places.tolist()
        symbol, after, _, weight = self._scalars
        few = [place for place in places if symbol[place] == left and symbol[after[place]] == right]
        return few, said if len(few) == len(places) else sum([weight[place] for place in few])

    def _remember(self, pair: int, count: int, places: list[int] | Places) -> None:
        self.made[pair] = places
        heapq.heappush(self.heap, -count << 64 | pair)

    def _find_more(self) -> bool:
        """Lower the floor and count again what stands beside each other; False where nothing does."""
        places = numpy.flatnonzero(numpy.minimum(self.symbol, self.symbol[self.after]) >= 0)
        if not len(places):
            return False
        coded = pa.array(self.symbol[places] << 32 | self.symbol[self.after[places]]).dictionary_encode()
        codes, pairs = coded.indices.to_numpy(), coded.dictionary.to_numpy()
        counts = numpy.bincount(codes, self.weight[places]).astype(numpy.int64)
        self.floor = max(1, int(min(self.floor - 1, counts.max()) * FLOOR_SHARE))
        common = numpy.flatnonzero(counts >= self.floor)
        common = common[numpy.lexsort((pairs[common], -counts[common]))]
        ranks = numpy.full(len(pairs), len(common), dtype=numpy.uint16 if len(common) < 2**16 else numpy.int64)
        ranks[common] = numpy.arange(len(common))
        order = numpy.argsort(ranks[codes], kind="stable")
        ends = numpy.cumsum(numpy.bincount(codes)[common]).tolist()
        self.found = _slices(pairs[common].tolist(), counts[common].tolist(), ends, places[order])
        self.next_found = next(self.found, NOTHING)
        return True

    def _merge(self, left: int, right: int, places: list[int] | Places) -> None:
        tokens = self.tokens
        token = tokens[left] + tokens[right]
        new = self.ids.setdefault(token, len(tokens))
        self.merges.append((tokens[left], tokens[right]))
        if left == right:
            places = _without_overlaps(places, self._scalars[1])
        if isinstance(places, list):
            self._merge_few(new, places)
        else:
            self._merge_many(new, places)
        if new == len(tokens):
            tokens.append(token)
        else:  # pairs with a token that other merges made before can become more common: count all again
            self.made.clear()
            self.heap.clear()
            self.next_found = NOTHING
            self.floor = round(self.floor / FLOOR_SHARE)

    def _merge_few(self, new: int, places: list[int]) -> None:
        symbol, after, before, weight = self._scalars
        for place in places:
            second = after[place]
            following = after[second]
            symbol[place], symbol[second], after[place], before[following] = new, MERGED, following, place
        made: dict[int, list[int]] = {}
        for place in places:
            previous = before[place]
            if (other := symbol[previous]) >= 0:
                made.setdefault(other << 32 | new, []).append(previous)
            if (other := symbol[after[place]]) >= 0 and other != new:  # which that one has before it
                made.setdefault(new << 32 | other, []).append(place)
        for pair, where in made.items():
            count = sum([weight[place] for place in where])
            if count >= self.floor:
                self._remember(pair, count, where)

    def _merge_many(self, new: int, places: Places) -> None:
        symbol, after, before = self.symbol, self.after, self.before
        seconds = after[places]
        following = after[seconds]
        symbol[places], symbol[seconds], after[places], before[following] = new, MERGED, following, places
        previous, other = before[places], symbol[following]
        has_following = (other >= 0) & (other != new)
        previous = previous[symbol[previous] >= 0]
        where = numpy.concatenate([previous, places[has_following]])
        pairs = numpy.concatenate([symbol[previous] << 32 | new, new << 32 | other[has_following]])
        for each in zip(*_grouped(pairs, self.weight[where], where, self.floor), strict=True):
            self._remember(*each)


def _grouped(pairs: Places, weights: Places, places: Places, floor: int) -> tuple[list[int], list[int], list[Places]]:
    """The different pairs whose weights sum to ``floor`` or more in their order, their sums, and their places."""
    order = numpy.argsort(pairs, kind="stable")
    pairs, places = pairs[order], places[order]
    first = numpy.flatnonzero(numpy.diff(pairs, prepend=-1))
    sums, ends = numpy.add.reduceat(weights[order], first), numpy.append(first[1:], len(pairs))
    common = numpy.flatnonzero(sums >= floor)
    bounds = zip(first[common].tolist(), ends[common].tolist(), strict=True)
    return pairs[first[common]].tolist(), sums[common].tolist(), [places[begin:end] for begin, end in bounds]


def _slices(pairs: list[int], counts: list[int], ends: list[int], places: Places) -> Iterator[Entry]:
    """Entries of pairs whose places lie one after another."""
    begin = 0
    for pair, count, end in zip(pairs, counts, ends, strict=True):
        yield -count << 64 | pair, places[begin:end]
        begin = end


def _without_overlaps(places: list[int] | Places, after: memoryview) -> list[int] | Places:
    """Of the places of a token before itself, those at which a reader from the left joins two: aaaaa -> aa aa a."""
    kept: list[int] = []
    taken = -1
    for place in sorted(places if isinstance(places, list) else places.tolist()):
        if place != taken:
            kept.append(place)
            taken = after[place]
    return kept if len(kept) <= FEW else numpy.array(kept)
