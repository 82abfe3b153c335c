"""Paragraphs that came before in the corpus: the first stays, and is cut out of later documents.

A paragraph is what lies between line feeds; two are equal if their words are, case and punctuation not minded.
One that a document repeats within itself, such as a refrain, is left. Documents are gone through twice, in the
same order: ``count`` finds which paragraphs may stand in several, ``cut`` cuts them out of all but the first.

Source: Wenzek et al. 2020, "CCNet", arXiv:1911.00359, section 3.1, which cuts all repeated paragraphs; that only
long ones count keeps headings and short answers in.

Shape legend: L lines, W words.
"""

import numpy

from hftrain.corpus.batches import MULTIPLIER, Batch, Hashes, Integers, mixed
from hftrain.corpus.line_cuts import Cut, without_lines

TABLE_BITS = 26


class PassageCutter:
    """Cuts repeated paragraphs out of a sequence of documents.

    Exact, but for paragraphs that share a number of 64 bits by chance. Memory: 64 MB, and some 150 bytes for
    each paragraph that is repeated, or shares its place in the table with another: of ten million different
    ones 14 % do.
    """

    def __init__(self, minimum_words: int) -> None:
        """Shorter paragraphs are left as they are."""
        self._minimum_words = minimum_words
        self._table = numpy.zeros(2**TABLE_BITS, numpy.uint8)
        self._first: dict[int, int] = {}
        self._documents = 0

    def count(self, batch: Batch) -> None:
        """First pass: take note of the paragraphs of some documents."""
        places, counts = numpy.unique(_place(self._paragraphs(batch)[1]), return_counts=True)
        self._table[places] = numpy.minimum(self._table[places] + counts, 2)

    def merge(self, other: "PassageCutter") -> None:
        """Add what another one counted, of other documents, before the first ``cut``."""
        self._table = numpy.minimum(self._table + other._table, 2)

    def cut(self, batch: Batch) -> list[Cut]:
        """Second pass: the documents without what came in an earlier one; one ``Cut`` each."""
        lines, numbers = self._paragraphs(batch)
        perhaps = self._table[_place(numbers)] > 1
        lines, numbers = lines[perhaps], numbers[perhaps]
        documents = numpy.searchsorted(batch.lines.offsets, lines, side="right") - 1 + self._documents
        cut = [
            line
            for line, number, document in zip(lines.tolist(), numbers.tolist(), documents.tolist(), strict=True)
            if self._first.setdefault(number, document) != document
        ]
        self._documents += len(batch)
        return without_lines(batch, numpy.array(cut, numpy.int64))

    def _paragraphs(self, batch: Batch) -> tuple[Integers, Hashes]:
        """The lines that are long enough, in order, and the number of each."""
        counts_L = numpy.diff(batch.line_words)
        lines = numpy.flatnonzero(counts_L >= self._minimum_words)
        if not len(lines):
            return lines, numpy.empty(0, numpy.uint64)
        starts, counts = batch.line_words[lines], counts_L[lines]
        firsts = numpy.cumsum(counts) - counts
        within = numpy.arange(int(counts.sum())) - numpy.repeat(firsts, counts)
        words = batch.word_hashes_W[numpy.repeat(starts, counts) + within]
        placed = mixed(words + within.astype(numpy.uint64) * numpy.uint64(MULTIPLIER))
        return lines, mixed(numpy.add.reduceat(placed, firsts))


def _place(numbers: Hashes) -> Hashes:
    return numbers >> numpy.uint64(64 - TABLE_BITS)
