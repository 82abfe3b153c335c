r"""The lines and paragraphs of a batch, as the published filters part them, and which of them came before.

Shape legend: C characters, D documents, K chunks (between white space), L lines or other spans.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Codes, Hashes, Integers, Spans, hash_spans, mixed
from hftrain.corpus.character_marks import LINE_BREAK, marks

Floats = NDArray[numpy.float64]
Flags = NDArray[numpy.bool_]
Measure = Callable[[Batch], Floats]
"""One number a document. Shape (D,); NaN: the question is not asked of it."""

SAMPLED_PLACES = 8
LINE_FEED, CARRIAGE_RETURN = 10, 13


@dataclass(frozen=True)
class Lines:
    """Lines with their chunks: ``first_L`` up to and with ``last_L``; ``blank_L`` have none."""

    spans: Spans
    first_L: Integers
    last_L: Integers
    blank_L: Flags

    def of_documents(self, flags_L: Flags) -> Integers:
        """How many lines of each document are flagged. Shape (D,)."""
        return sums(flags_L, self.spans.offsets)


def feed_lines(batch: Batch) -> Lines:
    r"""The lines of ``split("\n")``."""
    return _with_chunks(batch, batch.lines)


def broken_lines(batch: Batch) -> Lines:
    """The lines of ``splitlines``: eleven kinds of breaks, and nothing after the last."""
    codes_C = batch.codes_C
    at = numpy.flatnonzero(batch.once(marks) & LINE_BREAK)
    closing = numpy.isin(at, batch.ends_D, assume_unique=True)
    before = numpy.flatnonzero(codes_C[at] == CARRIAGE_RETURN)
    pairs = numpy.zeros(len(at) + 1, numpy.bool_)  # a carriage return and its line feed are one break
    pairs[before] = codes_C[at[before] + 1] == LINE_FEED
    single = numpy.ones(len(at), numpy.bool_)
    single[1:] = ~pairs[: len(at) - 1][: max(0, len(at) - 1)]
    ends = at[single]
    starts = numpy.concatenate([ends[:0], [0], (ends + 1 + pairs[:-1][single])[:-1]]) if len(ends) else ends
    real = (starts < ends) | ~closing[single]
    starts, ends = starts[real], ends[real]
    bounds = numpy.concatenate([batch.starts_D, [len(codes_C)]])
    return _with_chunks(batch, Spans(starts, ends, numpy.searchsorted(starts, bounds)))


def stripped(batch: Batch, lines: Lines) -> Spans:
    """The lines that are not blank, without the white space around them."""
    kept = ~lines.blank_L
    offsets = numpy.concatenate([[0], numpy.cumsum(kept)])[lines.spans.offsets]
    chunks = batch.chunks
    return Spans(chunks.starts_S[lines.first_L[kept]], chunks.ends_S[lines.last_L[kept]], offsets)


def paragraphs(batch: Batch) -> Spans:
    """What lies between two or more line feeds in the stripped text; one empty paragraph in an empty text."""
    lines, chunks = batch.once(feed_lines), batch.chunks
    offsets = chunks.offsets
    silent = offsets[1:] == offsets[:-1]
    begins_D, ends_D = batch.starts_D.copy(), batch.starts_D.copy()
    begins_D[~silent] = chunks.starts_S[offsets[:-1][~silent]]
    ends_D[~silent] = chunks.ends_S[offsets[1:][~silent] - 1]
    documents = lines.spans.documents_S
    starts, ends = lines.spans.starts_S, lines.spans.ends_S
    inside = (ends > starts) & (ends > begins_D[documents]) & (starts < ends_D[documents])
    after_gap = numpy.ones(len(starts), numpy.bool_)
    after_gap[1:] = (ends > starts)[:-1] == 0
    first = numpy.flatnonzero(inside & (after_gap | (starts <= begins_D[documents])))
    before_gap = numpy.ones(len(starts), numpy.bool_)
    before_gap[:-1] = (ends > starts)[1:] == 0
    last = numpy.flatnonzero(inside & (before_gap | (ends >= ends_D[documents])))
    every_start = numpy.maximum(starts[first], begins_D[documents[first]])
    every_end = numpy.minimum(ends[last], ends_D[documents[last]])
    counts = numpy.bincount(documents[first], minlength=len(batch))
    return Spans(every_start, every_end, numpy.concatenate([[0], numpy.cumsum(counts)]))


def came_before(batch: Batch, spans: Spans) -> Flags:
    """Which spans say what an earlier one of the same document said. Shape (L,).

    A number from the length and a few characters tells most lines apart; only those that share it are read whole.
    """
    repeated = numpy.zeros(len(spans.starts_S), numpy.bool_)
    lengths, documents = spans.lengths_S, spans.documents_S
    keys = mixed(lengths.astype(numpy.uint64) + document_salts(len(batch))[documents])
    for place in range(SAMPLED_PLACES):
        at = spans.starts_S + (numpy.maximum(lengths - 1, 0) * place) // (SAMPLED_PLACES - 1)
        keys = (keys ^ batch.codes_C[at]) * numpy.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> numpy.uint64(29)
    order = numpy.argsort(keys)
    same = keys[order][1:] == keys[order][:-1]
    alike = numpy.zeros(len(keys), numpy.bool_)
    alike[order[1:][same]] = True
    alike[order[:-1][same]] = True
    asked = numpy.flatnonzero(alike)
    if len(asked):
        numbers = keys[asked] ^ hash_scattered(batch.codes_C, spans.starts_S[asked], lengths[asked])
        _, first = numpy.unique(numbers, return_index=True)
        later = numpy.ones(len(asked), numpy.bool_)
        later[first] = False
        repeated[asked[later]] = True
    return repeated


def document_salts(documents: int) -> Hashes:
    """A number for each document: what is equal in two documents is told apart by it. Shape (D,)."""
    return mixed(numpy.arange(1, documents + 1, dtype=numpy.uint64) << numpy.uint64(20))


def sums(values_L: NDArray[numpy.bool_] | Integers, offsets: Integers) -> Integers:
    """Sum of the values of each document. ``offsets`` (D + 1,); shape (D,)."""
    running = numpy.zeros(len(values_L) + 1, numpy.int64)
    numpy.cumsum(values_L, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def share(part: NDArray[numpy.int64] | Floats, whole: NDArray[numpy.int64] | Floats) -> Floats:
    """Part over whole; 0 where there is nothing to take a part of."""
    result: Floats = part / numpy.maximum(whole, 1)
    return result


def _with_chunks(batch: Batch, spans: Spans) -> Lines:
    first = numpy.searchsorted(batch.chunks.starts_S, spans.starts_S)
    last = numpy.searchsorted(batch.chunks.starts_S, spans.ends_S) - 1
    return Lines(spans, first, last, first > last)


def hash_scattered(codes_C: Codes, starts: Integers, lengths: Integers) -> Hashes:
    """``hash_spans`` of spans that lie apart: their characters are put side by side first."""
    if not len(starts):
        return numpy.empty(0, numpy.uint64)
    ends = numpy.cumsum(lengths)
    at = numpy.repeat(starts - (ends - lengths), lengths) + numpy.arange(int(ends[-1]))
    return hash_spans(codes_C[at], Spans(ends - lengths, ends, numpy.array([0, len(ends)])))
