"""What kind of sign each character of a batch is, for the quality rules: one bit a kind.

Sources: the two sets of final punctuation are those of datatrove 0.10 (Apache-2.0,
https://github.com/huggingface/datatrove/blob/main/src/datatrove/utils/text.py) and of spaCy's sentencizer (MIT,
https://spacy.io/api/sentencizer); line breaks are those of ``str.splitlines``.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from string import ascii_lowercase, ascii_uppercase

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import HIGHEST_CODE, SPACE, WORD, Batch, character_classes

Marks = NDArray[numpy.uint16]

PUNCTUATION, TERMINAL, SENTENCE_END, LINE_BREAK, CODE_SIGN, CLOSER, NOT_PUNCTUATION, DECIMAL, LETTERED, ODD = (
    1 << bit for bit in range(10)
)
"""PUNCTUATION: a word of these alone is no word (datatrove). TERMINAL: ends a line that is a sentence (datatrove).
SENTENCE_END: ends a sentence (spaCy). CODE_SIGN: of code and markup. CLOSER: may stand between the end of a sentence
and white space. NOT_PUNCTUATION: outside of Unicode's categories P. DECIMAL: ``\\d`` of ``re``. LETTERED: letters and
numbers that are no digits. ODD: neither a to z, in small or capital letters, nor white space."""

CODE_SIGNS = "{}[]<>|\\=_^~#@$%&/;"
CLOSERS = "\"'”’»)]*_`"

SENTENCE_ENDS = (
    "21 2e 3f 589 61f 6d4 700-702 7f9 964-965 104a-104b 1362 1367-1368 166e 1735-1736 1803 1809 1944-1945 1aa8-1aab "
    "1b5a-1b5b 1b5e-1b5f 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 "
    "a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 11047-11048 "
    "110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 "
    "115c9-115d7 11641-11642 1173c-1173e 11a42-11a43 11a9b-11a9c 11c41-11c42 16a6e-16a6f 16af5 16b37-16b38 16b44 "
    "1bc9f 1da88"
)
MORE_TERMINALS = (
    "61d-61e 837 839 83d-83e 17d4-17d6 17d9-17da 1b7d-1b7e 2e53-2e54 10f55-10f59 10f86-10f89 11944 11946 11ef7-11ef8 "
    "11f43-11f44 16e98"
)
MORE_PUNCTUATION = (
    "0-8 b-1f 22-2d 2f 3a-3e 40 5b-60 7b-9f ab b4 bb 2013-2014 2019 201c-201e 2026 2236 2501 25ba 3001 3008-300d "
    "3010-3011 ff05 ff08-ff09 ff0c ff11 ff1a-ff1b ff5e"
)
LINE_BREAKS = "a-d 1c-1e 85 2028-2029"
LAST_ASSIGNED_BLOCK = 0x20000
"""Beyond are Han characters and others without punctuation or digits."""


def marks(batch: Batch) -> Marks:
    """The bits of each character. Shape (C,)."""
    return numpy.take(mark_table(), batch.codes_C)


@cache
def mark_table() -> Marks:
    """The bits by code point. Shape (0x110000,)."""
    table = numpy.zeros(HIGHEST_CODE + 1, numpy.uint16)
    for spans, bits in (
        (SENTENCE_ENDS, SENTENCE_END | TERMINAL | PUNCTUATION),
        (MORE_TERMINALS, TERMINAL | PUNCTUATION),
        (MORE_PUNCTUATION, PUNCTUATION),
        (LINE_BREAKS, LINE_BREAK),
    ):
        for first, last in _spans(spans):
            table[first : last + 1] |= bits
    table[list(map(ord, CODE_SIGNS))] |= CODE_SIGN
    table[list(map(ord, CLOSERS))] |= CLOSER
    table[LAST_ASSIGNED_BLOCK:] |= NOT_PUNCTUATION
    for code in range(LAST_ASSIGNED_BLOCK):
        category = unicodedata.category(chr(code))
        if category[0] != "P":
            table[code] |= NOT_PUNCTUATION
        if category == "Nd":
            table[code] |= DECIMAL
    classes = character_classes()
    table[(classes & WORD != 0) & (table & DECIMAL == 0)] |= LETTERED
    table[ord("_")] &= ~numpy.uint16(LETTERED)
    table[classes & SPACE == 0] |= ODD
    for letters in (ascii_lowercase, ascii_uppercase):
        table[list(map(ord, letters))] &= ~numpy.uint16(ODD)
    return table


def _spans(spans: str) -> Iterator[tuple[int, int]]:
    for span in spans.split():
        first, _, last = span.partition("-")
        yield int(first, 16), int(last or first, 16)
