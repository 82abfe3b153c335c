"""The words of a whole batch as the reference filters count them, as arrays.

Each distinct chunk is cut once by ``word_splitting.pieces``; how its characters are parted is remembered
by the chunk's hash, so that Python is spent on what is new and numpy on what repeats.

Shape legend: C characters of the batch, K chunks, O chunks that are not plain letters, P pieces.
"""

from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy

from hftrain.corpus.batches import Batch, Hashes, Integers, Spans
from hftrain.corpus.character_marks import ODD, marks
from hftrain.corpus.known_words import KnownWords
from hftrain.corpus.text_lines import Flags, hash_scattered
from hftrain.corpus.word_splitting import pieces, tables

MARKS = ",;:?!."
"""One of these behind two small letters is a piece of its own, but for special cases."""

REMEMBERED_CHUNKS = 200_000
_lengths_of: dict[int, tuple[int, ...]] = {}
_shared: dict[tuple[int, ...], tuple[int, ...]] = {}


@dataclass(frozen=True)
class WordPieces:
    """Words and marks of a batch, with a number for each; ``plain_P``: nothing but letters a to z.

    The pieces of chunk k are those from ``first_K[k]`` up to ``first_K[k + 1]``; shape (K + 1,).
    """

    spans: Spans
    hashes_P: Hashes
    plain_P: Flags
    first_K: Integers


def word_pieces(batch: Batch) -> WordPieces:
    """Cut all chunks of a batch into their words and marks."""
    chunks = batch.chunks
    lengths_K = chunks.lengths_S
    plain_K, ended_K, words = _usual(batch)
    odd_K = ~(plain_K | ended_K)
    odd_O = numpy.flatnonzero(odd_K)
    counts_K = 1 + ended_K.astype(numpy.int64)
    piece_lengths, counts_K[odd_O] = _cut(batch, odd_O)
    first_K = numpy.concatenate([[0], numpy.cumsum(counts_K)])
    offsets = first_K[chunks.offsets]
    hashes_P = numpy.repeat(batch.chunk_hashes_K, counts_K)
    odd_P = numpy.repeat(odd_K, counts_K)
    plain_P = ~odd_P
    lengths_P = numpy.repeat(lengths_K, counts_K)
    lengths_P[odd_P] = piece_lengths
    word_at = first_K[:-1][ended_K]
    lengths_P[word_at] -= 1
    lengths_P[word_at + 1] = 1
    plain_P[word_at + 1] = False
    gaps_K = chunks.starts_S - (numpy.cumsum(lengths_K) - lengths_K)
    starts_P = numpy.cumsum(lengths_P) - lengths_P + numpy.repeat(gaps_K, counts_K)
    hashes_P[word_at] = words
    hashes_P[word_at + 1] = _mark_hashes()[batch.codes_C[starts_P[word_at + 1]]]
    inner_P = numpy.flatnonzero(numpy.repeat(odd_K & (counts_K > 1), counts_K))
    hashes_P[inner_P] = hash_scattered(batch.codes_C, starts_P[inner_P], lengths_P[inner_P])
    return WordPieces(Spans(starts_P, starts_P + lengths_P, offsets), hashes_P, plain_P, first_K)


def forget() -> None:
    """Forget how chunks were cut; results do not depend on it."""
    _lengths_of.clear()
    _shared.clear()


def narrowed(batch: Batch, documents: Integers) -> Batch:
    """A batch of some of the texts; if the words of ``batch`` are known, they are not cut again."""
    smaller = Batch([batch.texts[document] for document in documents.tolist()])
    if not batch.has(word_pieces):
        return smaller
    known = batch.once(word_pieces)
    kept_D = numpy.zeros(len(batch), numpy.bool_)
    kept_D[documents] = True
    kept_P = numpy.repeat(kept_D, known.spans.counts_D)
    kept_K = numpy.repeat(kept_D, batch.chunks.counts_D)
    moved = numpy.repeat(smaller.starts_D - batch.starts_D[documents], known.spans.counts_D[documents])
    offsets = numpy.concatenate([[0], numpy.cumsum(known.spans.counts_D[documents])])
    spans = Spans(known.spans.starts_S[kept_P] + moved, known.spans.ends_S[kept_P] + moved, offsets)
    counts_K = numpy.diff(known.first_K)[kept_K]
    first_K = numpy.concatenate([[0], numpy.cumsum(counts_K)])
    smaller.keep(word_pieces, WordPieces(spans, known.hashes_P[kept_P], known.plain_P[kept_P], first_K))
    return smaller


def _usual(batch: Batch) -> tuple[Flags, Flags, Hashes]:
    """Most chunks: letters a to z alone (and no contraction), and such a word with one mark behind it.

    Returns:
        Which chunks are plain and which are ended by a mark, shape (K,), and the numbers of the words of the latter.
    """
    chunks, codes_C = batch.chunks, batch.codes_C
    signs = batch.once(marks)
    at = numpy.flatnonzero(signs & ODD)
    holding = numpy.searchsorted(chunks.starts_S, at, side="right") - 1
    odd_chars_K = numpy.bincount(holding, minlength=len(chunks.starts_S))
    plain_K = odd_chars_K == 0
    plain_K[_contractions().find(batch.chunk_hashes_K)[0]] = False
    one = numpy.flatnonzero((odd_chars_K == 1) & (chunks.lengths_S > 2))
    ends = chunks.ends_S[one]
    usual = _is_mark()[numpy.minimum(codes_C[ends - 1], 127)]
    for back in (2, 3):
        usual &= (codes_C[ends - back] - numpy.uint32(ord("a"))) < 26
    ended = one[usual]
    special = _ended_special_cases().find(batch.chunk_hashes_K[ended])[0]
    ended = numpy.delete(ended, special)
    words = hash_scattered(codes_C, chunks.starts_S[ended], chunks.lengths_S[ended] - 1)
    parted = _contractions().find(words)[0]
    ended_K = numpy.zeros(len(plain_K), numpy.bool_)
    ended_K[numpy.delete(ended, parted)] = True
    return plain_K, ended_K, numpy.delete(words, parted)


def _cut(batch: Batch, odd_O: Integers) -> tuple[Integers, Integers]:
    """Lengths of the pieces of these chunks, one after another, and how many pieces each has."""
    if not len(odd_O):
        return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.int64)
    hashes, first, inverse = numpy.unique(batch.chunk_hashes_K[odd_O], return_index=True, return_inverse=True)
    keys = hashes.tolist()
    found = [_lengths_of.get(key) for key in keys]
    if missing := [place for place, lengths in enumerate(found) if lengths is None]:
        _learn(batch, odd_O[first[missing]], [keys[place] for place in missing], found, missing)
    known = [lengths for lengths in found if lengths is not None]
    counts_U = numpy.fromiter(map(len, known), numpy.int64, len(known))
    flat = numpy.fromiter(chain.from_iterable(known), numpy.int64, int(counts_U.sum()))
    begins_U = numpy.cumsum(counts_U) - counts_U
    counts_O = counts_U[inverse]
    shifts_O = begins_U[inverse] - (numpy.cumsum(counts_O) - counts_O)
    return flat[numpy.repeat(shifts_O, counts_O) + numpy.arange(int(counts_O.sum()))], counts_O


def _learn(
    batch: Batch, chunks_M: Integers, keys: list[int], found: list[tuple[int, ...] | None], places: list[int]
) -> None:
    """Cut the chunks that are new; write their lengths to ``found`` and remember them."""
    if len(_lengths_of) + len(keys) > REMEMBERED_CHUNKS:
        forget()
    starts, ends = batch.chunks.starts_S[chunks_M], batch.chunks.ends_S[chunks_M]
    documents = numpy.searchsorted(batch.starts_D, starts, side="right") - 1
    begins = batch.starts_D[documents]
    rows = zip(documents.tolist(), (starts - begins).tolist(), (ends - begins).tolist(), keys, places, strict=True)
    for document, start, end, key, place in rows:
        lengths = tuple(map(len, pieces(batch.texts[document][start:end])))
        found[place] = _lengths_of[key] = _shared.setdefault(lengths, lengths)


@cache
def _contractions() -> KnownWords:
    """The special cases that are letters alone and yet several words, such as ``cannot``."""
    special = tables().special.items()
    return KnownWords.of_chunks(
        [text for text, parts in special if text.isascii() and text.isalpha() and len(parts) > 1]
    )


@cache
def _ended_special_cases() -> KnownWords:
    """The special cases that end with a mark that others lose, such as ``Mr.``."""
    return KnownWords.of_chunks([text for text in tables().special if text[-1] in MARKS])


@cache
def _is_mark() -> Flags:
    """Which ASCII codes are ``MARKS``. Shape (128,)."""
    table = numpy.zeros(128, numpy.bool_)
    table[list(map(ord, MARKS))] = True
    return table


@cache
def _mark_hashes() -> Hashes:
    """The number of a piece that is one of ``MARKS``, by its code. Shape (128,)."""
    table = numpy.zeros(128, numpy.uint64)
    table[list(map(ord, MARKS))] = Batch([" ".join(MARKS)]).chunk_hashes_K
    return table
