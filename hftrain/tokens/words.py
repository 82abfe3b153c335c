"""Text in pieces that repeat, so that each different piece is looked at once, and words counted from them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from string import ascii_letters
from typing import TypeVar

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

from hftrain.tokens.splitting import cut_places

BATCH_BYTES = 4_000_000
"""Text that is cut into pieces at once: much, so that pieces repeat, and little, so that memory stays small."""
COUNTED_AT_ONCE = 2_000_000
"""The same where words are counted: less, so that of a small text too each core has its part."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pieces:
    """Texts as a sequence of pieces of few kinds."""

    different: pa.Array
    """The pieces that occur, each once, bytes of Arrow."""
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
        different=numbered.dictionary,
        sequence=numbered.indices.to_numpy().astype(numpy.int64),
        ends=numpy.searchsorted(starts, bounds[1:]),
    )


def count_words(texts: Iterable[str], pre_tokenizer: pre_tokenizers.PreTokenizer) -> dict[str, int]:
    """How often each word occurs, its bytes written as letters; memory holds the different words, not the text."""
    pieces, counts = _count_pieces(texts)
    as_text = pieces.view(pa.large_string())
    is_word = pc.ascii_is_alpha(as_text)  # what no pattern splits, a space before it or not
    is_spaced = pc.match_substring_regex(as_text, "^ [A-Za-z]+$")
    words: dict[str, int] = {}
    spaced = pc.replace_substring(as_text.filter(is_spaced), " ", "Ġ")
    for kept, names in ((is_word, as_text.filter(is_word)), (is_spaced, spaced)):
        words.update(zip(names.to_pylist(), counts[_as_mask(kept)].tolist(), strict=True))
    others = pc.invert(pc.or_(is_word, is_spaced))
    split = _Splitter(pre_tokenizer)
    for piece, count in zip(as_text.filter(others).to_pylist(), counts[_as_mask(others)].tolist(), strict=True):
        for word in split(piece):
            words[word] = words.get(word, 0) + count
    return words


class _Splitter:
    """Words of pieces, by a pattern that is asked once for all pieces that differ in their last letters only.

    To every pattern here one letter of ASCII is as good as another, but after an apostrophe.
    """

    def __init__(self, pre_tokenizer: pre_tokenizers.PreTokenizer) -> None:
        self._pre_tokenizer = pre_tokenizer
        self._known: dict[str, list[str]] = {}

    def __call__(self, piece: str) -> list[str]:
        head = piece.rstrip(ascii_letters)
        if len(head) == len(piece) or head.endswith("'"):
            return self._ask(piece)
        words = self._known.get(head)
        if words is None:
            words = self._known[head] = self._ask(head + "a")
        return [*words[:-1], words[-1][:-1] + piece[len(head) :]]

    def _ask(self, piece: str) -> list[str]:
        return [word for word, _ in self._pre_tokenizer.pre_tokenize_str(piece)]


def _count_pieces(texts: Iterable[str]) -> tuple[pa.Array, NDArray[numpy.int64]]:
    """The different pieces, bytes of Arrow, and how often each occurs. Both of one length."""
    held: list[tuple[pa.Array, NDArray[numpy.int64]]] = []
    waiting = 0
    for found in in_threads(pieces_of, map(_as_arrow, batches_of(texts, batch_bytes=COUNTED_AT_ONCE))):
        different = found.different.cast(pa.large_binary())  # together they may be more than 2 GiB
        held.append((different, numpy.bincount(found.sequence, minlength=len(different))))
        waiting += len(different)
        if waiting > len(held[0][0]):  # so that each is looked at a few times, however many batches there are
            held, waiting = [_added_up(held)], 0
    return _added_up(held)


def _added_up(held: list[tuple[pa.Array, NDArray[numpy.int64]]]) -> tuple[pa.Array, NDArray[numpy.int64]]:
    if not held:
        return pa.array([], pa.large_binary()), numpy.zeros(0, dtype=numpy.int64)
    numbered = pa.concat_arrays([pieces for pieces, _ in held]).dictionary_encode()
    counts = numpy.zeros(len(numbered.dictionary), dtype=numpy.int64)
    numpy.add.at(counts, numbered.indices.to_numpy(), numpy.concatenate([counts for _, counts in held]))
    return numbered.dictionary, counts


def _as_mask(chosen: pa.Array) -> NDArray[numpy.bool_]:
    mask: NDArray[numpy.bool_] = chosen.to_numpy(zero_copy_only=False)
    return mask


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
