"""Many texts as arrays: where their lines and words lie, and a number for each word.

A text costs Python about a microsecond a word; numpy does the same work on a few megabytes of text at
once some fifty times as fast. A ``Batch`` computes each array when it is first asked for, once.

Shape legend: C characters of the whole batch, D documents, L lines, K chunks, W words, S spans.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy
from numpy.typing import NDArray

Integers = NDArray[numpy.int64]
Hashes = NDArray[numpy.uint64]
Codes = NDArray[numpy.uint32]
Made = TypeVar("Made")

SPACE, LETTER, WORD = 1, 2, 4
"""Bits of ``character_classes``: ``str.isspace``, ``str.isalpha``, and ``\\w`` of ``re``."""

HIGHEST_CODE = 0x10FFFF
BLOCK_CHARS = 1 << 15
BATCH_CHARS = 2_000_000
BATCH_DOCUMENTS = 8192
MULTIPLIER = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio, made odd: the weight of a character's place in its span."""


@dataclass(frozen=True)
class Spans:
    """Pieces of a batch, in order.

    ``starts_S`` and ``ends_S`` are character positions; ``offsets`` has shape (D + 1,): the spans of
    document d are those from ``offsets[d]`` up to ``offsets[d + 1]``.
    """

    starts_S: Integers
    ends_S: Integers
    offsets: Integers

    @property
    def lengths_S(self) -> Integers:
        """Characters of each span."""
        return self.ends_S - self.starts_S

    @property
    def counts_D(self) -> Integers:
        """Spans of each document."""
        return numpy.diff(self.offsets)

    @property
    def documents_S(self) -> Integers:
        """The document of each span."""
        return numpy.repeat(numpy.arange(len(self.offsets) - 1), self.counts_D)


class Batch:
    """Texts that are judged together; what a document gets does not depend on its neighbours."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Keep the texts; they hold no lone surrogate."""
        self.texts = list(texts)
        self._made: dict[Callable[..., Any], Any] = {}

    def once(self, make: "Callable[[Batch], Made]") -> Made:
        """What ``make`` gives for this batch; it is asked once, however many want it."""
        if make not in self._made:
            self._made[make] = make(self)
        made: Made = self._made[make]
        return made

    def has(self, make: "Callable[[Batch], Made]") -> bool:
        """Whether ``once`` knows already what ``make`` gives."""
        return make in self._made

    def keep(self, make: "Callable[[Batch], Made]", made: Made) -> None:
        """Let ``once`` give this for ``make``: it is known from elsewhere."""
        self._made[make] = made

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def codes_C(self) -> Codes:
        """Code points of all texts; a line feed stands after each."""
        joined = "\n".join([*self.texts, ""])
        return numpy.frombuffer(joined.encode("utf-32-le"), dtype=numpy.uint32)

    @cached_property
    def lengths_D(self) -> Integers:
        """Characters of each text."""
        return numpy.fromiter(map(len, self.texts), numpy.int64, len(self.texts))

    @cached_property
    def starts_D(self) -> Integers:
        """Where each text begins in ``codes_C``."""
        ends = numpy.cumsum(self.lengths_D + 1)
        return ends - (self.lengths_D + 1)

    @cached_property
    def ends_D(self) -> Integers:
        """Where each text ends in ``codes_C``; the line feed after it not counted."""
        return self.starts_D + self.lengths_D

    @cached_property
    def classes_C(self) -> NDArray[numpy.uint8]:
        """Bits SPACE, LETTER and WORD of each character."""
        return numpy.take(character_classes(), self.codes_C)

    @cached_property
    def lowered_C(self) -> Codes:
        """Code points in lower case, one for one (the only letter that becomes two is U+0130)."""
        return numpy.take(lower_codes(), self.codes_C)

    @cached_property
    def lines(self) -> Spans:
        r"""What lies between line feeds, empty lines too: D texts have as many as ``split("\n")`` gives."""
        ends = numpy.flatnonzero(self.codes_C == ord("\n"))
        starts = numpy.concatenate([ends[:0], [0], ends[:-1] + 1]) if len(ends) else ends
        return self._spans(starts, ends)

    @cached_property
    def chunks(self) -> Spans:
        """What lies between white space: D texts have as many as ``split()`` gives."""
        return self._runs((self.classes_C & SPACE) == 0)

    @cached_property
    def words(self) -> Spans:
        r"""Runs of ``\w``: letters, digits, underscores."""
        return self._runs((self.classes_C & WORD) != 0)

    @cached_property
    def line_words(self) -> Integers:
        """Shape (L + 1,): the words of line l are those from ``line_words[l]`` up to ``line_words[l + 1]``."""
        bounds = numpy.append(self.lines.starts_S, len(self.codes_C))
        return numpy.searchsorted(self.words.starts_S, bounds)

    @cached_property
    def word_hashes_W(self) -> Hashes:
        """A number for each of ``words``, whatever its case."""
        return hash_spans(self.lowered_C, self.words)

    @cached_property
    def chunk_hashes_K(self) -> Hashes:
        """A number for each of ``chunks``, case and punctuation told apart."""
        return hash_spans(self.codes_C, self.chunks)

    def word_windows(self, size: int) -> tuple[Integers, Hashes]:
        """Every run of ``size`` words of one document, as it is without case and punctuation.

        Returns:
            The first word of each window, and the window's number. A document of fewer words has none.
        """
        counts = self.words.counts_D
        first = window_starts(self.words.offsets, size)
        if not len(first) or not counts.any():
            return first, numpy.empty(0, numpy.uint64)
        return first, window_hashes(self.word_hashes_W, size)[first]

    def said(self, spans: Spans, first: int, last: int | None = None) -> str:
        """The text from the beginning of one span to the end of another (or the same)."""
        last = first if last is None else last
        document = int(numpy.searchsorted(spans.offsets, first, side="right")) - 1
        begin = int(self.starts_D[document])
        return self.texts[document][int(spans.starts_S[first]) - begin : int(spans.ends_S[last]) - begin]

    def _runs(self, inside_C: NDArray[numpy.bool_]) -> Spans:
        edges = numpy.flatnonzero(inside_C[1:] != inside_C[:-1]) + 1
        if len(inside_C) and inside_C[0]:
            edges = numpy.concatenate([[0], edges])
        return self._spans(edges[::2], edges[1::2])  # the last character is a line feed: every run ends

    def _spans(self, starts: Integers, ends: Integers) -> Spans:
        bounds = numpy.concatenate([self.starts_D, [len(self.codes_C)]])
        return Spans(starts, ends, numpy.searchsorted(starts, bounds))


def hash_spans(codes_C: Codes, spans: Spans) -> Hashes:
    """A 64-bit number for each span: equal where the characters are, else equal by chance of 2**-64 a pair.

    number(code) * M**place, summed over the span and mixed once more; arithmetic is modulo 2**64.
    The sums are differences of running sums, block by block: what is worked on stays in the processor's cache.
    """
    starts, ends = spans.starts_S, spans.ends_S
    sums = numpy.zeros(len(starts), numpy.uint64)
    first = 0
    while first < len(starts):
        begin = int(starts[first])
        last = max(first + 1, int(numpy.searchsorted(ends, begin + BLOCK_CHARS, side="right")))
        running = numpy.empty(int(ends[last - 1]) - begin + 1, numpy.uint64)
        running[0] = 0
        powers, inverses = _powers(len(running))
        numbers = numpy.take(character_numbers(), codes_C[begin : begin + len(running) - 1])
        numbers *= powers[: len(numbers)]
        numpy.cumsum(numbers, out=running[1:])
        within = starts[first:last] - begin
        sums[first:last] = (running[ends[first:last] - begin] - running[within]) * inverses[within]
        first = last
    return mixed(sums + (ends - starts).astype(numpy.uint64))


def window_starts(offsets: Integers, size: int) -> Integers:
    """First positions of all windows of ``size`` things that lie in one document. ``offsets`` (D + 1,)."""
    counts = numpy.maximum(numpy.diff(offsets) - (size - 1), 0)
    begins = numpy.cumsum(counts) - counts
    return numpy.repeat(offsets[:-1] - begins, counts) + numpy.arange(int(counts.sum()))


def window_hashes(hashes: Hashes, size: int) -> Hashes:
    """A number for each window of ``size`` neighbours, documents not minded. Shape (len - size + 1,)."""
    length = len(hashes) - size + 1
    if length <= 0:
        return numpy.empty(0, numpy.uint64)
    return mixed(window_sums(hashes, size))


def window_sums(hashes: Hashes, size: int) -> Hashes:
    """The polynomial of each window of ``size`` neighbours, its first of the highest power of ``MULTIPLIER``.

    A window of twice as many is made of two such: one of 8 takes three steps.
    """
    if size == 1:
        return hashes
    length = len(hashes) - size + 1
    behind = 1 if size % 2 else size // 2
    first = window_sums(hashes, size - behind)
    second = hashes if behind == 1 else first
    sums: Hashes = first[:length] * numpy.uint64(pow(MULTIPLIER, behind, 2**64))
    sums += second[size - behind :]
    return sums


def window_hashes_at(hashes: Hashes, starts: Integers, size: int) -> Hashes:
    """The numbers that ``window_hashes`` gives to the windows that begin at ``starts``; each lies within ``hashes``."""
    total = numpy.zeros(len(starts), numpy.uint64)
    for place in range(size):
        total *= numpy.uint64(MULTIPLIER)
        total += hashes[starts + place]
    return mixed(total)


def mixed(values: Hashes) -> Hashes:
    """Spread every bit over all others: the finalizer of splitmix64.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """
    values = values ^ (values >> numpy.uint64(30))
    values *= numpy.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> numpy.uint64(27)
    values *= numpy.uint64(0x94D049BB133111EB)
    values ^= values >> numpy.uint64(31)
    return values


@cache
def character_classes() -> NDArray[numpy.uint8]:
    """Bits SPACE, LETTER and WORD by code point. Shape (0x110000,)."""
    characters = _characters()
    classes = numpy.strings.isspace(characters) * numpy.uint8(SPACE)
    classes |= numpy.strings.isalpha(characters) * numpy.uint8(LETTER)
    classes |= numpy.strings.isalnum(characters) * numpy.uint8(WORD)
    classes[ord("_")] |= WORD
    return classes


@cache
def lower_codes() -> Codes:
    """The lower case of each code point. Shape (0x110000,)."""
    codes = numpy.arange(HIGHEST_CODE + 1, dtype=numpy.uint32)
    characters = _characters()
    for code in numpy.flatnonzero(numpy.strings.isupper(characters) | numpy.strings.istitle(characters)).tolist():
        codes[code] = ord(chr(code).lower()[0])
    return codes


def _characters() -> NDArray[numpy.str_]:
    return numpy.arange(HIGHEST_CODE + 1, dtype=numpy.uint32).view("U1")


@cache
def character_numbers() -> Hashes:
    """A random-looking odd number for each code point. Shape (0x110000,)."""
    codes = numpy.arange(1, HIGHEST_CODE + 2, dtype=numpy.uint64)
    return mixed(codes * numpy.uint64(MULTIPLIER)) | numpy.uint64(1)


@cache
def _powers_up_to(exponent: int) -> tuple[Hashes, Hashes]:
    found = []
    for base in (MULTIPLIER, pow(MULTIPLIER, -1, 2**64)):
        powers = numpy.full(2**exponent, base, numpy.uint64)
        powers[0] = 1
        found.append(numpy.multiply.accumulate(powers))
    return found[0], found[1]


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """M**0, M**1 ... modulo 2**64 and their inverses, at least ``count`` of each."""
    return _powers_up_to(max(10, (count - 1).bit_length()))


def in_batches(texts: Iterable[str]) -> Iterator[Batch]:
    """Group texts into batches of at most ``BATCH_DOCUMENTS``, each closed at ``BATCH_CHARS``."""
    waiting: list[str] = []
    chars = 0
    for text in texts:
        waiting.append(text)
        chars += len(text)
        if chars >= BATCH_CHARS or len(waiting) == BATCH_DOCUMENTS:
            yield Batch(waiting)
            waiting, chars = [], 0
    if waiting:
        yield Batch(waiting)
