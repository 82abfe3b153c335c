"""Text in pieces that repeat, so that each different piece is looked at once, and words counted from them."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

from hftrain.tokens.splitting import cut_places

BATCH_BYTES = 4_000_000
"""Text that is cut into pieces at once: much, so that pieces repeat, and little, so that memory stays small."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pieces:
    """Texts as a sequence of pieces of few kinds."""

    different: list[bytes]
    """The pieces that occur, each once."""
    sequence: NDArray[numpy.int64]
    """Which piece stands where. Shape (P,), P pieces in all texts."""
    ends: NDArray[numpy.int64]
    """How many pieces lie before the end of each text. Shape (D,), D texts."""


def pieces_of(texts: pa.Array) -> Pieces:
    """Cut texts where words surely end, and number the pieces.

    Args:
        texts: Strings of Arrow, of less than 2 GiB together.
    """
    texts = texts.cast(pa.large_string())
    bounds = numpy.frombuffer(texts.buffers()[1], dtype=numpy.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    whole = numpy.frombuffer(data, dtype=numpy.uint8) if data is not None else numpy.zeros(0, dtype=numpy.uint8)
    text, bounds = whole[bounds[0] : bounds[-1]], bounds - bounds[0]
    begins = cut_places(text)
    begins[bounds[:-1][numpy.diff(bounds) > 0]] = True
    starts = numpy.flatnonzero(begins)
    offsets = numpy.append(starts, len(text)).astype(numpy.int32)
    pieces = pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    numbered = pieces.dictionary_encode()
    return Pieces(
        different=numbered.dictionary.to_pylist(),
        sequence=numbered.indices.to_numpy().astype(numpy.int64),
        ends=numpy.searchsorted(starts, bounds[1:]),
    )


def count_words(texts: Iterable[str], pre_tokenizer: pre_tokenizers.PreTokenizer) -> Counter[str]:
    """How often each word occurs, its bytes written as letters; memory holds the different words, not the text."""
    pieces: Counter[bytes] = Counter()
    for found in in_threads(pieces_of, map(_as_arrow, batches_of(texts))):
        counts = numpy.bincount(found.sequence, minlength=len(found.different)).tolist()
        for piece, count in zip(found.different, counts, strict=True):
            pieces[piece] += count
    words: Counter[str] = Counter()
    for piece, count in pieces.items():
        if piece.isalpha():  # of bytes: letters of ASCII, which no pattern splits, a space before them or not
            words[piece.decode()] += count
        elif piece[:1] == b" " and piece[1:].isalpha():
            words["Ġ" + piece[1:].decode()] += count
        else:
            for word, _ in pre_tokenizer.pre_tokenize_str(piece.decode()):
                words[word] += count
    return words


def batches_of(texts: Iterable[str], *, batch_bytes: int = BATCH_BYTES) -> Iterator[list[str]]:
    """Texts in lists of about so many bytes; a longer text is a list of its own."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= batch_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Tally:
    """Texts that are counted as they go by, once."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.bytes = 0
        """UTF-8 bytes so far."""
        self._texts = texts

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            self.bytes += len(text.encode())
            yield text


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``map`` on all cores, in order, a few items ahead of what is asked for.

    For work that numpy and Arrow do, which let other threads run.
    """
    threads = os.cpu_count() or 1
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _as_arrow(texts: list[str]) -> pa.Array:
    return pa.array(texts, type=pa.large_string())
