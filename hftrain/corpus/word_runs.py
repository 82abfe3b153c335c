"""Runs of neighbouring words that are said more than once in a text: found for a whole batch by sorting.

Shape legend: D documents, E documents with at least one window, N windows of neighbours, R runs of equal windows.
"""

from dataclasses import dataclass

import numpy

from hftrain.corpus.batches import Hashes, Integers, Spans, window_hashes, window_starts, window_sums
from hftrain.corpus.text_lines import Flags, document_salts, sums

CHAR_BITS = 12
"""Of a window's key, for its characters."""


@dataclass(frozen=True)
class Runs:
    """Windows sorted by what they say.

    Run r holds ``counts_R[r]`` windows of ``order_N`` from ``starts_R[r]`` on; the first in the text is ``first_R[r]``.
    """

    order_N: Integers
    starts_R: Integers
    counts_R: Integers
    first_R: Integers


def runs_of(hashes: Hashes, offsets: Integers, size: int) -> Runs:
    """Group all windows of ``size`` neighbours of one document by what they say there."""
    at = window_starts(offsets, size)
    if not len(at):
        return Runs(at, at, at, at)
    counts = numpy.maximum(numpy.diff(offsets) - (size - 1), 0)
    numbers = window_hashes(hashes, size)[at] ^ numpy.repeat(document_salts(len(counts)), counts)
    order = numpy.argsort(numbers)
    numbers = numbers[order]
    starts = numpy.concatenate([[0], numpy.flatnonzero(numbers[1:] != numbers[:-1]) + 1])
    order = at[order]
    return Runs(order, starts, numpy.diff(numpy.append(starts, len(order))), numpy.minimum.reduceat(order, starts))


@dataclass(frozen=True)
class Top:
    """The most frequent window of each document, the first said of several: where, how often, its characters."""

    first_D: Integers
    counts_D: Integers
    chars_D: Integers


def top_windows(spans: Spans, hashes: Hashes, size: int) -> Top:
    """Of each document the window of ``size`` spans that is said most often; count 0 if it is too short for one."""
    runs = runs_of(hashes, spans.offsets, size)
    found = spans.counts_D >= size
    first_D, counts_D = spans.offsets[:-1].copy(), found.astype(numpy.int64)
    several = runs.counts_R > 1
    first_R, counts_R = runs.first_R[several], runs.counts_R[several]
    documents_R = numpy.searchsorted(spans.offsets, first_R, side="right") - 1
    best = numpy.lexsort((first_R, -counts_R, documents_R))
    leading = numpy.ones(len(best), numpy.bool_)
    leading[1:] = documents_R[best][1:] != documents_R[best][:-1]
    best = best[leading]
    first_D[documents_R[best]] = first_R[best]
    counts_D[documents_R[best]] = counts_R[best]
    lengths = numpy.concatenate([[0], numpy.cumsum(spans.lengths_S)])
    last = numpy.minimum(first_D + size, len(lengths) - 1)
    return Top(first_D, counts_D, lengths[last] - lengths[first_D])


def repeated_windows(runs: Runs) -> tuple[Integers, Integers]:
    """The windows that are said more than once, in order, and for each where its words are said first."""
    several = runs.counts_R > 1
    counts = runs.counts_R[several]
    shifts = runs.starts_R[several] - (numpy.cumsum(counts) - counts)
    at = runs.order_N[numpy.repeat(shifts, counts) + numpy.arange(int(counts.sum()))]
    order = numpy.argsort(at)
    return at[order], numpy.repeat(runs.first_R[several], counts)[order]


@dataclass(frozen=True)
class PackedRuns:
    """How often each window is said and its characters, document by document, and nothing of where: fast to make.

    The runs of the e-th document that has any, ``documents_E[e]``, begin at ``starts_E[e]``. ``long_D`` flags documents
    with a window too long for its place in the key. Of windows as long as each other, one in 2**38 pairs is mistaken
    for equal (with 8192 documents a batch), which makes a bound higher, never lower.
    """

    counts_R: Integers
    chars_R: Integers
    starts_E: Integers
    documents_E: Integers
    long_D: Flags


def packed_runs(spans: Spans, hashes: Hashes, size: int) -> PackedRuns:
    """Sort one number a window: its document, the highest bits of its hash, its characters."""
    windows_D = numpy.maximum(spans.counts_D - (size - 1), 0)
    long_D = numpy.zeros(len(windows_D), numpy.bool_)
    documents_E = numpy.flatnonzero(windows_D)
    if not len(documents_E):
        return PackedRuns(documents_E, documents_E, documents_E, documents_E, long_D)
    length = len(hashes) - size + 1
    document_bits = len(long_D).bit_length()
    shift = numpy.uint64(64 - document_bits)
    documents = numpy.repeat(numpy.arange(len(long_D), dtype=numpy.uint64) << shift, spans.counts_D)
    chars = _window_chars(spans, size)
    if chars.max() >> CHAR_BITS:
        at = numpy.flatnonzero(chars >> CHAR_BITS)
        long_D[numpy.searchsorted(spans.offsets, at, side="right") - 1] = True
        chars = numpy.minimum(chars, (1 << CHAR_BITS) - 1)
    keys = window_sums(hashes, size) >> numpy.uint64(CHAR_BITS + document_bits)  # the highest bits are as good as mixed
    keys <<= numpy.uint64(CHAR_BITS)
    keys |= chars.view(numpy.uint64)
    keys |= documents[:length]
    keys = keys[documents[:length] == documents[size - 1 :]]
    keys.sort()
    starts = numpy.concatenate([[0], numpy.flatnonzero(keys[1:] != keys[:-1]) + 1])
    heads = keys[starts]
    return PackedRuns(
        counts_R=numpy.diff(numpy.append(starts, len(keys))),
        chars_R=(heads & numpy.uint64((1 << CHAR_BITS) - 1)).view(numpy.int64),
        starts_E=numpy.searchsorted(heads, documents_E.astype(numpy.uint64) << shift),
        documents_E=documents_E,
        long_D=long_D,
    )


def top_chars(packed: PackedRuns, spans: Spans, spaces: int) -> Integers:
    """Count times characters, spaces too, of the longest of the most frequent windows of each document. Shape (D,)."""
    chars_D = numpy.zeros(len(packed.long_D), numpy.int64)
    if len(packed.starts_E):
        most_E = numpy.maximum.reduceat(packed.counts_R, packed.starts_E)
        runs_E = numpy.diff(numpy.append(packed.starts_E, len(packed.counts_R)))
        leading = packed.counts_R == numpy.repeat(most_E, runs_E)
        chars = packed.counts_R * (packed.chars_R + spaces) * leading
        chars_D[packed.documents_E] = numpy.maximum.reduceat(chars, packed.starts_E)
    if packed.long_D.any():
        everything_D = sums(spans.lengths_S + spaces, spans.offsets)
        chars_D[packed.long_D] = (everything_D * spans.counts_D)[packed.long_D]
    return chars_D


def most_windows(packed: PackedRuns) -> Integers:
    """How often the most frequent window of each document is said; 0 where there is none. Shape (D,)."""
    counts_D = numpy.zeros(len(packed.long_D), numpy.int64)
    if len(packed.starts_E):
        counts_D[packed.documents_E] = numpy.maximum.reduceat(packed.counts_R, packed.starts_E)
    return counts_D


def widest_windows(spans: Spans, size: int) -> Integers:
    """Characters of the longest window of ``size`` spans of each document; 0 where there is none. Shape (D,)."""
    widest_D = numpy.zeros(len(spans.offsets) - 1, numpy.int64)
    documents_E = numpy.flatnonzero(spans.counts_D >= size)
    if len(documents_E):
        begins, after = spans.offsets[documents_E], spans.offsets[documents_E + 1] - (size - 1)
        chars = numpy.append(_window_chars(spans, size), 0)
        bounds = numpy.stack([begins, after], axis=1).ravel()
        widest_D[documents_E] = numpy.maximum.reduceat(chars, bounds)[::2]
    return widest_D


def _window_chars(spans: Spans, size: int) -> Integers:
    """Characters of each window of ``size`` neighbours, documents not minded."""
    ends = numpy.zeros(len(spans.starts_S) + 1, numpy.int64)
    numpy.cumsum(spans.lengths_S, out=ends[1:])
    chars: Integers = ends[size:] - ends[:-size]
    return chars
