"""Texts that part tokenizers: every script, emoji, control characters, numbers, code, long words, typed marks."""

import random
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache

from hftrain.tokens.chat import SPECIAL_TOKENS

LONGEST_WORD_CHARS = 600

WORDS = (
    "don't", "WE'LL", "'twas", "ŝtono", "Straße", "naïve", "İstanbul", "ΑΘΗΝΑ", "ǅ", "ﬁ", "x1y2", "_a_b", "CamelCase",
    "snake_case", "3.14", "1,234,567.89", "0x1F", "10%,", "½²", "١٢٣", "一二三", "Ⅷ", "https://example.org/a?b=c#d",
    "me@example.org", "$x", "+=", "1;", "if(a<b){return", "-1;}", "\\alpha", "<b>&amp;</b>",
)  # fmt: skip

JOINED = (
    "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "🇩🇪🇯🇵", "❤\ufe0f", "👍🏽", "1\ufe0f\u20e3", "e\u0301", "ก็", "क्ष",
    "한\u1100\u1161", "\u200f\u202eabc\u202c", "ﷺ", "🫠",
)  # fmt: skip

SPACES = tuple(" \t\n\u00a0\u2028\u3000\x0b\x0c\x85\ufeff") + ("  ", "   ", "\n\n", "\r\n", " \n ")


def hard_texts(count: int, *, seed: int) -> Iterator[str]:
    """So many texts, the same for a seed: each kind in turn, each text of 1 to 24 pieces."""
    drawing = random.Random(seed)
    kinds = (_characters, _words, _joined, _controls, _digits, _marks, _long_word, _spaces, _any)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        pieces = 1 if kind is _long_word else drawing.randint(1, 24)
        yield "".join(kind(drawing) for _ in range(pieces))


def _characters(drawing: random.Random) -> str:
    """A run of one Unicode block's characters, which as a rule is one script's."""
    blocks = _blocks()
    block = blocks[drawing.randrange(len(blocks))]
    return "".join(drawing.choice(block) for _ in range(drawing.randint(1, 6))) + drawing.choice(("", " "))


def _words(drawing: random.Random) -> str:
    return drawing.choice(WORDS) + drawing.choice((" ", " ", "\n", "", ", "))


def _joined(drawing: random.Random) -> str:
    return drawing.choice(JOINED) + drawing.choice(("", " ", "a"))


def _controls(drawing: random.Random) -> str:
    return chr(drawing.choice((*range(32), *range(127, 160), 0xAD, 0x200B, 0x200D, 0x2060, 0xFFFD, 0xFFFE)))


def _digits(drawing: random.Random) -> str:
    return str(drawing.randrange(10 ** drawing.randint(1, 9))) + drawing.choice(("", "", " ", ".", ",", "-"))


def _marks(drawing: random.Random) -> str:
    mark = drawing.choice((*SPECIAL_TOKENS, "[PAD7]", "<s>", "</s>", "<0x0A>", "▁", "Ġ", "<unk>"))
    return drawing.choice((mark, mark[:-1], f" {mark}", f"{mark}\n", "word "))


def _long_word(drawing: random.Random) -> str:
    letters = drawing.choice(("a", "ab", "abcdefgh", "é", "字", "😀", "-", "A1"))
    return "".join(drawing.choice(letters) for _ in range(drawing.randint(50, LONGEST_WORD_CHARS)))


def _spaces(drawing: random.Random) -> str:
    return drawing.choice(SPACES) * drawing.randint(1, 4) + drawing.choice(("", "", "a", "1", "!", "я"))


def _any(drawing: random.Random) -> str:
    return drawing.choice((_characters, _words, _joined, _controls, _digits, _marks, _spaces))(drawing)


@cache
def _blocks() -> tuple[tuple[str, ...], ...]:
    """Assigned characters by 128s of their numbers; surrogates and private ones left out."""
    blocks = []
    for first in range(0, sys.maxunicode + 1, 128):
        found = tuple(
            char for char in map(chr, range(first, first + 128)) if unicodedata.category(char) not in ("Cn", "Cs", "Co")
        )
        if found:
            blocks.append(found)
    return tuple(blocks)
