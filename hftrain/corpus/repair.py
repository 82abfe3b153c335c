"""Unicode repair: mojibake, stray entities, control characters, line ends, NFC."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

import ftfy
import numpy
from ftfy.badness import is_bad
from ftfy.chardata import CONTROL_CHARS, LIGATURES, WIDTH_MAP
from numpy.typing import NDArray

from hftrain.corpus.batches import HIGHEST_CODE, Batch

INVISIBLE = {
    **dict.fromkeys((*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0))),
    **dict.fromkeys((0x200B, 0x2060, *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    0x0B: "\n",
    0x0C: "\n",
}
"""Removed after ftfy, which keeps them: what is left of C1, zero-width spaces, marks that turn the
direction of text around. Joiners stay: scripts and emoji need them. Form feeds end lines."""

CONFIG = ftfy.TextFixerConfig(uncurl_quotes=False, explain=False)
"""Curly quotes are typography, not damage."""

ENTITY = re.compile("&#?[0-9A-Za-z]{1,24};")

USUAL = "\x00-\x7f‘’“”–—…"
UNUSUAL = re.compile(f"[^{USUAL}][^{USUAL}]*")
"""ftfy finds nothing in a line of ASCII and these: each pattern of its ``is_bad`` asks for at least
one character of another kind. Most lines of a book are such. With ``+`` instead, ``re`` seeks half as fast."""

PATTERN_CHARS = 8
"""No pattern of ``is_bad`` is longer."""


def _any_of(codes: set[int]) -> str:
    return "[" + "".join(re.escape(chr(code)) for code in sorted(codes)) + "]"


TOUCHED_CODES = (
    set(LIGATURES)
    | set(WIDTH_MAP)
    | set(CONTROL_CHARS)
    | set(INVISIBLE)
    | {0x0D, 0x2028, 0x2029, *range(0xD800, 0xE000)}
)
TOUCHED = re.compile(_any_of(TOUCHED_CODES))
TOUCHED_ASCII = re.compile(_any_of({code for code in TOUCHED_CODES if code < 0x80}))
"""All but entities that a step other than ftfy's decoding of mojibake can change."""

MAY_BE_TOUCHED, IS_UNUSUAL = 1, 2
"""Bits of ``_kinds_of_code``: of TOUCHED or an ampersand; of UNUSUAL."""

HAS_INVISIBLE = re.compile(_any_of(set(INVISIBLE)))


def repair(text: str) -> str:
    """The text as it was meant: one Unicode form (NFC), one kind of line end, nothing invisible.

    HTML entities are read only where no ``<`` shows that the text is about HTML. Lines that no step
    could change do not pass through ftfy, which is slow: an ASCII line holds no mojibake, and ftfy
    decodes only where its ``is_bad`` says so.
    """
    return _repaired(text) if _may_need_repair(text) else text.strip()


def repair_all(batch: Batch) -> list[str]:
    """``repair`` of each text: what needs none is told by arrays, several times as fast."""
    kinds_C = numpy.take(_kinds_of_code(), batch.codes_C)
    at = numpy.flatnonzero(kinds_C)
    documents = numpy.searchsorted(batch.starts_D, at, side="right") - 1
    kinds_D = numpy.zeros(len(batch), numpy.uint8)
    numpy.bitwise_or.at(kinds_D, documents, kinds_C[at])
    needs = [
        _may_need_repair(text) if kinds & MAY_BE_TOUCHED else bool(kinds) and _may_be_mojibake(text)
        for text, kinds in zip(batch.texts, kinds_D.tolist(), strict=True)
    ]
    return [_repaired(text) if need else text.strip() for text, need in zip(batch.texts, needs, strict=True)]


def _repaired(text: str) -> str:
    config = CONFIG._replace(unescape_html="<" not in text)
    lines = text.split("\n")
    ends = ["\n"] * (len(lines) - 1) + [""]
    fixed = "".join(_fixed(line + end, config) for line, end in zip(lines, ends, strict=True))
    if HAS_INVISIBLE.search(fixed):
        # Taking a character out from between two others can bring them together as one.
        fixed = unicodedata.normalize("NFC", fixed.translate(INVISIBLE))
    return fixed.strip()


def _around_unusual(text: str) -> Iterator[str]:
    """The pieces of lines in which ``is_bad`` could find something, far fewer than the lines."""
    for run in UNUSUAL.finditer(text):
        start, end = max(0, run.start() - PATTERN_CHARS), run.end() + PATTERN_CHARS
        line_start, line_end = text.rfind("\n", start, run.start()) + 1, text.find("\n", run.end(), end)
        yield text[max(start, line_start) : end if line_end < 0 else line_end]


def _may_need_repair(text: str) -> bool:
    """Whether any line might: what is bad in a line is bad in the whole text."""
    if "&" in text and ENTITY.search(text):
        return True
    if text.isascii():
        return TOUCHED_ASCII.search(text) is not None
    return TOUCHED.search(text) is not None or _may_be_mojibake(text)


def _may_be_mojibake(text: str) -> bool:
    return any(map(is_bad, _around_unusual(text))) or not unicodedata.is_normalized("NFC", text)


@cache
def _kinds_of_code() -> NDArray[numpy.uint8]:
    """The bits of each code point; a character that is neither leaves a text as it is. Shape (0x110000,)."""
    kinds = numpy.full(HIGHEST_CODE + 1, IS_UNUSUAL, numpy.uint8)
    kinds[:0x80] = 0
    kinds[list(map(ord, "‘’“”–—…"))] = 0
    kinds[[ord("&"), *TOUCHED_CODES]] |= MAY_BE_TOUCHED
    return kinds


def _fixed(line: str, config: ftfy.TextFixerConfig) -> str:
    return ftfy.fix_text(line, config) if _may_need_repair(line) else line
