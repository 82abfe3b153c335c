"""The words of a whole batch as the reference filters count them, as arrays.

Each distinct chunk is cut once by ``word_splitting.pieces``; how its characters are parted is remembered
by the chunk's hash, so that Python is spent on what is new and numpy on what repeats.

Shape legend: C characters of the batch, K chunks, O chunks that are not plain letters, P pieces.
"""

from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Hashes, Integers, Spans
from hftrain.corpus.character_marks import ODD, marks
from hftrain.corpus.known_hashes import KnownHashes
from hftrain.corpus.text_lines import hash_scattered
from hftrain.corpus.word_splitting import pieces, tables

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
    plain_P: NDArray[numpy.bool_]
    first_K: Integers


def word_pieces(batch: Batch) -> WordPieces:
    """Cut all chunks of a batch into their words and marks."""
    chunks = batch.chunks
    lengths_K = chunks.lengths_S
    plain_K = _plain(batch)
    odd_O = numpy.flatnonzero(~plain_K)
    counts_K = numpy.ones(len(plain_K), numpy.int64)
    piece_lengths, counts_O = _cut(batch, odd_O)
    counts_K[odd_O] = counts_O
    first_K = numpy.cumsum(counts_K) - counts_K
    parted_P = numpy.repeat(~plain_K, counts_K)
    lengths_P = numpy.empty(len(parted_P), numpy.int64)
    lengths_P[~parted_P] = lengths_K[plain_K]
    lengths_P[parted_P] = piece_lengths
    gaps_K = chunks.starts_S - (numpy.cumsum(lengths_K) - lengths_K)
    starts_P = numpy.cumsum(lengths_P) - lengths_P + numpy.repeat(gaps_K, counts_K)
    first_K = numpy.append(first_K, len(parted_P))
    offsets = first_K[chunks.offsets]
    hashes_P = numpy.repeat(batch.chunk_hashes_K, counts_K)
    inner_P = numpy.flatnonzero(numpy.repeat(counts_K > 1, counts_K))
    hashes_P[inner_P] = hash_scattered(batch.codes_C, starts_P[inner_P], lengths_P[inner_P])
    return WordPieces(Spans(starts_P, starts_P + lengths_P, offsets), hashes_P, ~parted_P, first_K)


def text_hash(text: str) -> int:
    """The number that a batch gives to a chunk or piece of this text."""
    return int(Batch([text]).chunk_hashes_K[0])


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


def _plain(batch: Batch) -> NDArray[numpy.bool_]:
    """Which chunks are letters a to z alone, and no contraction. Shape (K,)."""
    chunks = batch.chunks
    at = numpy.flatnonzero(batch.once(marks) & ODD)
    plain_K = numpy.ones(len(chunks.starts_S), numpy.bool_)
    plain_K[numpy.searchsorted(chunks.starts_S, at, side="right") - 1] = False
    plain_K[_contractions().find(batch.chunk_hashes_K)[0]] = False
    return plain_K


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
def _contractions() -> KnownHashes:
    """The special cases that are letters alone and yet several words, such as ``cannot``."""
    special = tables().special.items()
    return KnownHashes([text for text, parts in special if text.isascii() and text.isalpha() and len(parts) > 1])
