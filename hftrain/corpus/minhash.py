"""Signatures of texts: two texts that share most of their word 5-grams agree in at least one number.

A text's shingles are its runs of five words, case and punctuation not minded; a text of one to four words
has one shingle, all of it. The minima over ``BANDS * rows`` bins agree each with the probability of the
Jaccard similarity J of two texts' shingle sets; ``rows`` of them together make the number of a band. So two
texts share the number of at least one band with probability ``1 - (1 - J**rows)**BANDS``.

Source: Broder 1997, "On the resemblance and containment of documents"; the banding is that of Leskovec,
Rajaraman, Ullman 2020, "Mining of Massive Datasets", chapter 3.4; the filling of bins is that of Dahlgaard,
Knudsen, Thorup 2017, "Fast Similarity Sketching", arXiv:1704.04370: each shingle falls into one bin a round,
rounds go on until all bins are filled, a bin keeps the least number of its first round. A long text needs
one round, where a hash function for each bin would need ``BANDS * rows``.

Shape legend: D documents, S shingles, B bands, N bins.
"""

import math

import numpy

from hftrain.corpus.batches import MULTIPLIER, Batch, Hashes, Integers, mixed, window_hashes_at

SHINGLE_WORDS = 5
"""Words of a shingle, as in Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better",
arXiv:2107.06499, appendix A."""

BANDS = 32
"""Numbers kept of each text: 8 bytes each."""

FOUND_AT_THRESHOLD = 0.999
"""The least probability with which a pair exactly at the threshold shares a band."""

BLOCK_SHINGLES = 1 << 18
BLOCK_DOCUMENTS = 8192

NO_SHINGLE = numpy.uint64(0)
"""The number of all bands of a text without words: it is like no other, nor like itself."""

ROUNDS = 8
"""Rounds in which a shingle falls into one bin; a bin that is empty then has a round of its own, with a hash
function of its own over all shingles. Eight were the fastest of 2 to 12 for texts of 5 to 300 words."""

EMPTY = numpy.uint64(2**64 - 1)


def rows_of_bands(threshold: float) -> int:
    """The most rows with which ``BANDS`` bands find pairs at ``threshold``: 4 for 0.7, 2 for 0.5.

    Raises:
        ValueError: The threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a Jaccard similarity above 0 and at most 1 is needed, not {threshold}")
    return max([rows for rows in range(1, 17) if found_share(threshold, rows) >= FOUND_AT_THRESHOLD], default=1)


def found_share(jaccard: float, rows: int) -> float:
    """The probability that two texts of this similarity share a band."""
    return -math.expm1(BANDS * math.log1p(-(jaccard**rows))) if jaccard < 1 else 1.0


def shingles(batch: Batch) -> tuple[Integers, Hashes]:
    """The shingles of each document in their order, repeated ones repeated.

    Returns:
        ``offsets`` of shape (D + 1,): those of document d lie from ``offsets[d]`` to ``offsets[d + 1]``; and
        the number of each shingle.
    """
    counts_D = batch.words.counts_D
    windows = batch.word_windows(SHINGLE_WORDS)[1]
    shingles_D = numpy.where(counts_D < SHINGLE_WORDS, counts_D > 0, counts_D - SHINGLE_WORDS + 1)
    offsets = numpy.concatenate([[0], numpy.cumsum(shingles_D)])
    if len(windows) == offsets[-1]:
        return offsets, windows
    numbers = numpy.empty(int(offsets[-1]), numpy.uint64)
    is_window = numpy.ones(len(numbers), bool)
    for size in range(1, SHINGLE_WORDS):
        short = numpy.flatnonzero(counts_D == size)
        numbers[offsets[short]] = window_hashes_at(batch.word_hashes_W, batch.words.offsets[short], size)
        is_window[offsets[short]] = False
    numbers[is_window] = windows
    return offsets, numbers


def signatures(batch: Batch, rows: int) -> Hashes:
    """The numbers of the bands of each document, the same on every machine. Shape (D, B).

    Two texts with the same number in any band should be compared; one text's numbers differ by chance.
    """
    return bands_of(*shingles(batch), rows)


def bands_of(offsets: Integers, numbers_S: Hashes, rows: int) -> Hashes:
    """The same, of what ``shingles`` gives. Shape (D, B)."""
    bands = numpy.zeros((len(offsets) - 1, BANDS), numpy.uint64)
    first = 0
    while first < len(bands):  # in blocks that stay in the processor's cache
        last = max(first + 1, int(numpy.searchsorted(offsets, offsets[first] + BLOCK_SHINGLES)) - 1)
        last = min(last, first + BLOCK_DOCUMENTS)
        within = offsets[first : last + 1] - offsets[first]
        minima = _minima(within, numbers_S[offsets[first] : offsets[last]], BANDS * rows)
        for row in range(rows):
            bands[first:last] *= numpy.uint64(MULTIPLIER)
            bands[first:last] += minima[:, row::rows]
        first = last
    bands = mixed(bands) | numpy.uint64(1)  # odd: never NO_SHINGLE
    bands[numpy.diff(offsets) == 0] = NO_SHINGLE
    return bands


def _minima(offsets: Integers, numbers_S: Hashes, bins: int) -> Hashes:
    """The least number of each bin in its first round, the round in the highest bits. Shape (D, N)."""
    table = numpy.full((len(offsets) - 1, bins), EMPTY)
    asked = numpy.arange(len(table))
    for turn in range(ROUNDS):
        part = table if turn == 0 else table[asked]
        counts = numpy.diff(offsets)
        hashes = numbers_S * _multiplier(turn)
        places = ((hashes >> numpy.uint64(32)) * numpy.uint64(bins)) >> numpy.uint64(32)
        places += numpy.repeat(numpy.arange(len(part)) * bins, counts).view(numpy.uint64)
        numpy.minimum.at(part.reshape(-1), places.view(numpy.int64), _in_round(hashes, turn))
        table[asked] = part
        unfilled = (part == EMPTY).any(axis=1) & (counts > 0)
        if not unfilled.any():
            return table
        numbers_S = numbers_S[numpy.repeat(unfilled, counts)]
        offsets = numpy.concatenate([[0], numpy.cumsum(counts[unfilled])])
        asked = asked[unfilled]
    least = [numpy.minimum.reduceat(numbers_S * _multiplier(ROUNDS + place), offsets[:-1]) for place in range(bins)]
    rest = _in_round(numpy.stack(least, axis=1) >> numpy.uint64(8), ROUNDS)
    table[asked] = numpy.where(table[asked] == EMPTY, rest, table[asked])
    return table


def _multiplier(turn: int) -> numpy.uint64:
    return mixed(numpy.array([turn + 1], numpy.uint64))[0] | numpy.uint64(1)


def _in_round(hashes: Hashes, turn: int) -> Hashes:
    return (hashes & numpy.uint64(2**56 - 1)) | numpy.uint64(turn << 56)
