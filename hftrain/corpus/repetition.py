"""What a text says over again: lines, paragraphs, runs of words. ``Batch`` -> one number a document.

The measures are those of Gopher's repetition filter (Rae et al. 2021, arXiv:2112.11446, table A1), in the form that
datatrove 0.10 gave them (``GopherRepetitionFilter``): shares are of all characters of the text, white space too.

Shape legend: D documents, L lines, P pieces (words).
"""

from collections import Counter
from functools import cache

import numpy

from hftrain.corpus.batches import Batch, Integers, Spans
from hftrain.corpus.prose_measures import SHORT_WORDS
from hftrain.corpus.text_lines import Flags, Floats, Measure, came_before, feed_lines, paragraphs, share, sums
from hftrain.corpus.word_pieces import narrowed, word_pieces
from hftrain.corpus.word_runs import (
    PackedRuns,
    most_windows,
    packed_runs,
    repeated_windows,
    runs_of,
    top_chars,
    top_windows,
    widest_windows,
)
from hftrain.corpus.word_splitting import pieces

PAIR = 2
SHORTEST_DUPLICATE = 5
QUOTED_CHARS = 80
SEARCHED_CHARS = 50_000
"""A span to show is looked for up to here: what is repeated too much is repeated early."""

FEW_DUPLICATES = 0.10
FEW_TOP_RUNS = 0.16
"""No published threshold of repeated runs, or of the most frequent, is lower."""


@cache
def top_ngram_share(size: int) -> Measure:
    """The measure: characters of the most frequent run of ``size`` pieces (its spaces too) times its count."""

    def measure(batch: Batch) -> Floats:
        found = batch.once(word_pieces)
        top = top_windows(found.spans, found.hashes_P, size)
        return share((top.chars_D + size - 1) * top.counts_D, batch.lengths_D)

    return measure


def top_triple_share(batch: Batch) -> Floats:
    """Share of the characters between white space in the most frequent triple of words, if it is said twice.

    Not asked up to ``SHORT_WORDS`` words.
    """
    chunks = batch.chunks
    top = top_windows(chunks, batch.chunk_hashes_K, 3)
    result = share(top.chars_D * top.counts_D, sums(chunks.lengths_S, chunks.offsets))
    result[top.counts_D < 2] = 0
    result[chunks.counts_D <= SHORT_WORDS] = numpy.nan
    return result


@cache
def duplicate_ngram_share(size: int) -> Measure:
    """The measure: share of the characters in runs of ``size`` pieces that were said before.

    The text is read from its beginning; a run that was met before is counted and leapt over, any other is
    remembered. Only at windows that are said more than once can anything happen: no others are visited.
    """

    def measure(batch: Batch) -> Floats:
        found = batch.once(word_pieces)
        runs = runs_of(found.hashes_P, found.spans.offsets, size)
        at, said = repeated_windows(runs)
        ends = numpy.concatenate([[0], numpy.cumsum(found.spans.lengths_S)])
        chars_D = numpy.zeros(len(batch), numpy.int64)
        documents = numpy.searchsorted(found.spans.offsets, at, side="right") - 1
        chars = (ends[at + size] - ends[at]).tolist()
        met: set[int] = set()
        free = 0
        for place, run, document, length in zip(at.tolist(), said.tolist(), documents.tolist(), chars, strict=True):
            if place < free:
                continue
            if run in met:
                chars_D[document] += length
                free = place + size
            else:
                met.add(run)
        return share(chars_D, batch.lengths_D)

    return measure


@cache
def top_ngram_bound(size: int) -> Measure:
    """The measure: no less than ``top_ngram_share``.

    No run is said more often than any pair in it, nor takes up more than the longest run of its size; where that is
    not few, the characters of the most frequent runs are counted.
    """

    def measure(batch: Batch) -> Floats:
        if size == PAIR:
            return share(top_chars(batch.once(_pairs), batch.once(word_pieces).spans, size - 1), batch.lengths_D)
        most_D, long_D = most_windows(batch.once(_pairs)), batch.once(_pairs).long_D
        widest_D = widest_windows(batch.once(word_pieces).spans, size)
        bound = share((widest_D + size - 1) * most_D, batch.lengths_D)
        closer = numpy.flatnonzero((bound > FEW_TOP_RUNS) | long_D)
        if len(closer):
            near = narrowed(batch, closer)
            found = near.once(word_pieces)
            packed = packed_runs(found.spans, found.hashes_P, size)
            bound[closer] = share(top_chars(packed, found.spans, size - 1), near.lengths_D)
        return bound

    return measure


def _pairs(batch: Batch) -> PackedRuns:
    found = batch.once(word_pieces)
    return packed_runs(found.spans, found.hashes_P, PAIR)


def top_triple_bound(batch: Batch) -> Floats:
    """No less than ``top_triple_share``."""
    chunks = batch.chunks
    packed = packed_runs(chunks, batch.chunk_hashes_K, 3)
    return share(top_chars(packed, chunks, 0), sums(chunks.lengths_S, chunks.offsets))


def duplicate_ngram_bound(batch: Batch) -> Floats:
    """No less than any of ``duplicate_ngram_share`` from five pieces on: a longer run is made of such runs.

    The characters of all runs of five that were said before, overlaps counted twice; for documents with more than a
    few of these, the characters of the pieces that lie in such a run.
    """
    found = batch.once(word_pieces)
    packed = packed_runs(found.spans, found.hashes_P, SHORTEST_DUPLICATE)
    chars_D = numpy.zeros(len(batch), numpy.int64)
    if len(packed.starts_E):
        chars_D[packed.documents_E] = numpy.add.reduceat((packed.counts_R - 1) * packed.chars_R, packed.starts_E)
    chars_D[packed.long_D] = batch.lengths_D[packed.long_D]
    bound = share(chars_D, batch.lengths_D)
    closer = numpy.flatnonzero(bound > FEW_DUPLICATES)
    if len(closer):
        bound[closer] = _covered_share(narrowed(batch, closer))
    return bound


def _covered_share(batch: Batch) -> Floats:
    """Share of the characters in pieces that lie in a run of five that was said before."""
    found = batch.once(word_pieces)
    at, said = repeated_windows(runs_of(found.hashes_P, found.spans.offsets, SHORTEST_DUPLICATE))
    later = at[at != said]
    covered = numpy.zeros(len(found.hashes_P), numpy.bool_)
    for place in range(SHORTEST_DUPLICATE):
        covered[later + place] = True
    return share(sums(found.spans.lengths_S * covered, found.spans.offsets), batch.lengths_D)


def duplicate_line_share(batch: Batch) -> Floats:
    """Share of the lines (parted by one or more line feeds) that came before."""
    repeated, written = batch.once(_repeated_lines)
    counted, edges, twice = batch.once(_line_counts)
    return share(sums(repeated, written.offsets) + twice, counted + edges)


def duplicate_line_chars(batch: Batch) -> Floats:
    """Share of the characters in lines that came before."""
    repeated, written = batch.once(_repeated_lines)
    return share(sums(written.lengths_S * repeated, written.offsets), batch.lengths_D)


def duplicate_written_line_chars(batch: Batch) -> Floats:
    """The same without blank lines, as a share of all characters but line feeds."""
    repeated, written = batch.once(_repeated_lines)
    lines = batch.once(feed_lines)
    says = ~lines.blank_L[lines.spans.lengths_S > 0]
    chars = batch.lengths_D - (lines.spans.counts_D - 1)
    return share(sums(written.lengths_S * (repeated & says), written.offsets), chars)


def duplicate_paragraph_share(batch: Batch) -> Floats:
    """Share of the paragraphs (parted by two or more line feeds) that came before."""
    repeated, spans = batch.once(_repeated_paragraphs)
    return share(sums(repeated, spans.offsets), spans.counts_D)


def duplicate_paragraph_chars(batch: Batch) -> Floats:
    """Share of the characters in paragraphs that came before."""
    repeated, spans = batch.once(_repeated_paragraphs)
    return share(sums(spans.lengths_S * repeated, spans.offsets), batch.lengths_D)


def top_line(text: str) -> str:
    """The line that takes up most characters when it is said again."""
    return _top([line.strip() for line in text.split("\n")])


def top_paragraph(text: str) -> str:
    """The same of paragraphs."""
    return _top([paragraph.strip() for paragraph in text.split("\n\n")])


def top_triple(text: str) -> str:
    """The most frequent triple of words between white space."""
    words = text[:SEARCHED_CHARS].split()
    return _quoted(" ".join(Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)[0][0]))


def top_ngram(text: str, size: int) -> str:
    """The most frequent run of ``size`` pieces."""
    words = [piece for chunk in text[:SEARCHED_CHARS].split() for piece in pieces(chunk)]
    runs = Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
    return _quoted(" ".join(runs.most_common(1)[0][0])) if runs else ""


def _repeated_lines(batch: Batch) -> tuple[Flags, Spans]:
    """Which lines that are not empty came before; white space at their ends tells lines apart."""
    lines = batch.once(feed_lines).spans
    kept = lines.lengths_S > 0
    offsets = numpy.concatenate([[0], numpy.cumsum(kept)])[lines.offsets]
    written = Spans(lines.starts_S[kept], lines.ends_S[kept], offsets)
    return came_before(batch, written), written


def _line_counts(batch: Batch) -> tuple[Integers, Integers, Integers]:
    """Lines that are not empty; empty ones at the text's beginning and end; whether there are both."""
    lines = batch.once(feed_lines).spans
    empty = lines.lengths_S == 0
    leads = empty[lines.offsets[:-1]] & (lines.counts_D > 1)
    trails = empty[lines.offsets[1:] - 1] & (lines.counts_D > 1)
    edges = leads.astype(numpy.int64) + trails
    return sums(~empty, lines.offsets), edges, (leads & trails).astype(numpy.int64)


def _repeated_paragraphs(batch: Batch) -> tuple[Flags, Spans]:
    spans = paragraphs(batch)
    return came_before(batch, spans), spans


def _top(parts: list[str]) -> str:
    counts = Counter(part for part in parts if part)
    best = max(counts, key=lambda part: (counts[part] - 1) * len(part), default="")
    return _quoted(best) if counts[best] > 1 else ""


def _quoted(said: str) -> str:
    return repr(said if len(said) <= QUOTED_CHARS else f"{said[: QUOTED_CHARS - 1]}…")
