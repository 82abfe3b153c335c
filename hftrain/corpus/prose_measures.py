"""Numbers that tell prose from other text: of words, of lines, of signs. ``Batch`` -> one number a document.

Those named ``whitespace`` count what stands between white space; those named ``piece`` count the words and marks of
``word_pieces``, as the published filters do. NaN: the question is not asked of this document.

Shape legend: C characters, D documents, K chunks (between white space), L lines, P pieces.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy
from numpy.typing import NDArray

from hftrain.corpus import character_marks
from hftrain.corpus.batches import LETTER, Batch, Hashes, Integers
from hftrain.corpus.character_marks import marks
from hftrain.corpus.known_words import KnownWords
from hftrain.corpus.text_lines import Flags, Floats, Lines, broken_lines, came_before, feed_lines, share, stripped, sums
from hftrain.corpus.word_pieces import word_pieces

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
SHORT_WORDS = 30
"""Up to here a good text may lack a stop word or a full stop, or say some words over again."""

SHORT_LINE_CHARS = 30
FEW_LINES = 2
WEB_BOILERPLATE = re.compile(
    r"lorem ipsum|(?:enable|requires?|turn on|disabled?) java ?script|java ?script (?:is|must be) "
    r"(?:disabled|enabled)|(?:we|site) uses? cookies"
)
WEB_WORDS = (b"lorem ipsum", b"java", b"cookies")
WEB_REACH = 64
"""One of these words is in all that the pattern finds, which reaches less far; they are looked for first, for speed."""


def whitespace_words(batch: Batch) -> Floats:
    """Words between white space."""
    return batch.chunks.counts_D.astype(numpy.float64)


def whitespace_word_chars(batch: Batch) -> Floats:
    """Mean length of the words between white space; 0 without words."""
    return share(sums(batch.chunks.lengths_S, batch.chunks.offsets), batch.chunks.counts_D)


def wordlike_share(batch: Batch) -> Floats:
    """Share of the words between white space that hold a letter, or a number that is no digit; 1 without words."""
    chunks = batch.chunks
    lettered_K = any_flagged(batch.once(marks), character_marks.LETTERED, chunks.starts_S, chunks.ends_S)
    return 1 - share(sums(~lettered_K, chunks.offsets), chunks.counts_D)


def whitespace_stop_words(batch: Batch) -> Floats:
    """How many different ones of ``STOP_WORDS``, in any case; not asked up to ``SHORT_WORDS`` words."""
    return _asked_of_long(batch, _stop_words(batch.chunk_hashes_K, batch.chunks.offsets, any_case=True))


def code_sign_share(batch: Batch) -> Floats:
    """Share of the characters that are signs of code, markup and formulas."""
    return share(_signs(batch, batch.once(marks) & character_marks.CODE_SIGN != 0), batch.lengths_D)


def sentence_ends(batch: Batch) -> Floats:
    """Words that end like a sentence (closing quotes not minded); not asked up to ``SHORT_WORDS`` words."""
    chunks = batch.chunks
    last_K = chunks.ends_S - 1
    closing = numpy.flatnonzero(batch.once(marks)[last_K] & character_marks.CLOSER)
    closers = numpy.flatnonzero(batch.once(marks) & character_marks.CLOSER)
    runs = closers[numpy.diff(closers, prepend=-2) != 1]
    last_K[closing] = runs[numpy.searchsorted(runs, last_K[closing], side="right") - 1] - 1
    ends_K = (last_K >= chunks.starts_S) & numpy.isin(batch.codes_C[last_K], list(map(ord, ".!?…")))
    return _asked_of_long(batch, sums(ends_K, chunks.offsets))


def listed_line_share(batch: Batch) -> Floats:
    """Share of the lines that begin with a bullet or a number and a dot, white space after it."""
    lines, chunks = batch.once(feed_lines), batch.chunks
    first_L = lines.first_L[~lines.blank_L]
    starts, ends = chunks.starts_S[first_L], chunks.ends_S[first_L]
    lengths, codes_C = ends - starts, batch.codes_C
    bullet = (lengths == 1) & numpy.isin(codes_C[starts], list(map(ord, "-*•‣▪●")))
    number = (lengths >= 2) & (lengths <= 4) & numpy.isin(codes_C[ends - 1], list(map(ord, ".)")))
    decimal_C = batch.once(marks) & character_marks.DECIMAL != 0
    for place in range(3):
        at = numpy.minimum(starts + place, ends - 1)
        number &= decimal_C[at] | (at == ends - 1)
    listed = numpy.zeros(len(lines.blank_L), numpy.bool_)
    listed[~lines.blank_L] = (bullet | number) & (ends < lines.spans.ends_S[~lines.blank_L])
    return share(lines.of_documents(listed), lines.of_documents(~lines.blank_L))


def cut_line_share(batch: Batch) -> Floats:
    """Share of the lines that end with an ellipsis; not asked of two lines or fewer."""
    lines = batch.once(feed_lines)
    written = lines.of_documents(~lines.blank_L)
    result = share(lines.of_documents(_ends_with_ellipsis(batch, lines)), written)
    result[written <= FEW_LINES] = numpy.nan
    return result


def repeated_line_share(batch: Batch) -> Floats:
    """Share of the characters of lines, white space around them not counted, that are in lines said before."""
    spans = stripped(batch, batch.once(feed_lines))
    repeated = came_before(batch, spans)
    return share(sums(spans.lengths_S * repeated, spans.offsets), sums(spans.lengths_S, spans.offsets))


def boilerplate_phrases(batch: Batch) -> Floats:
    """1 if the text says one of the things that sites say instead of their page, else 0."""
    found = numpy.zeros(len(batch))
    positions = numpy.concatenate([phrase_positions(batch, word) for word in WEB_WORDS])
    documents = numpy.searchsorted(batch.starts_D, positions, side="right") - 1
    begins = positions - batch.starts_D[documents]
    for document, begin in zip(documents.tolist(), begins.tolist(), strict=True):
        around = batch.texts[document][max(0, begin - WEB_REACH) : begin + WEB_REACH]
        if not found[document] and WEB_BOILERPLATE.search(around.lower()):
            found[document] = 1
    return found


def piece_words(batch: Batch) -> Floats:
    """Pieces that are not punctuation alone."""
    return sums(batch.once(_spoken), batch.once(word_pieces).spans.offsets).astype(numpy.float64)


def piece_word_chars(batch: Batch) -> Floats:
    """Mean length of the pieces that are not punctuation alone; 0 if there is none."""
    spans, spoken = batch.once(word_pieces).spans, batch.once(_spoken)
    return share(sums(spans.lengths_S * spoken, spans.offsets), sums(spoken, spans.offsets))


def hash_sign_share(batch: Batch) -> Floats:
    """Hash signs for each piece."""
    return share(_signs(batch, batch.codes_C == ord("#")), _piece_counts(batch))


def ellipsis_share(batch: Batch) -> Floats:
    """Ellipses (``...`` or one sign) for each piece; of a run of dots every three are one."""
    codes_C = batch.codes_C
    dots = numpy.flatnonzero(codes_C == ord("."))
    begins = numpy.flatnonzero(numpy.diff(dots, prepend=-2) != 1)
    runs = numpy.diff(numpy.append(begins, len(dots)))
    threes = runs >= 3
    offsets = numpy.searchsorted(dots[begins[threes]], _bounds(batch))
    ellipses = sums(runs[threes] // 3, offsets) + _signs(batch, codes_C == ord("…"))
    return share(ellipses, _piece_counts(batch))


def bullet_line_share(batch: Batch) -> Floats:
    """Share of the lines of ``splitlines``, blank ones too, whose first sign is a bullet or a hyphen."""
    lines = batch.once(broken_lines)
    flagged = numpy.zeros(len(lines.blank_L), numpy.bool_)
    first_C = batch.codes_C[batch.chunks.starts_S[lines.first_L[~lines.blank_L]]]
    flagged[~lines.blank_L] = (first_C == ord("•")) | (first_C == ord("-"))
    return share(lines.of_documents(flagged), lines.spans.counts_D)


def ellipsis_line_share(batch: Batch) -> Floats:
    """Share of the lines of ``splitlines``, blank ones too, that end with an ellipsis."""
    lines = batch.once(broken_lines)
    return share(lines.of_documents(_ends_with_ellipsis(batch, lines)), lines.spans.counts_D)


def alphabetic_piece_share(batch: Batch) -> Floats:
    """Share of the pieces that hold a letter."""
    pieces = batch.once(word_pieces)
    lettered_P = pieces.plain_P.copy()
    odd = numpy.flatnonzero(~lettered_P)
    lettered_P[odd] = any_flagged(batch.classes_C, LETTER, pieces.spans.starts_S[odd], pieces.spans.ends_S[odd])
    return share(sums(lettered_P, pieces.spans.offsets), _piece_counts(batch))


def piece_stop_words(batch: Batch) -> Floats:
    """How many different ones of ``STOP_WORDS``, in small letters, are pieces."""
    found = batch.once(word_pieces)
    return _stop_words(found.hashes_P, found.spans.offsets, any_case=False).astype(numpy.float64)


def final_line_share(batch: Batch) -> Floats:
    """Share of the lines that are not blank whose very last character is a final punctuation mark."""
    lines = batch.once(feed_lines)
    ends = lines.spans.ends_S
    last_L = numpy.maximum(ends - 1, 0)
    final = (batch.once(marks)[last_L] & character_marks.TERMINAL != 0) & ~lines.blank_L
    return share(lines.of_documents(final), lines.of_documents(~lines.blank_L))


def short_line_share(batch: Batch) -> Floats:
    """Share of the lines that are not blank of at most ``SHORT_LINE_CHARS`` characters."""
    lines = batch.once(feed_lines)
    short = (lines.spans.lengths_S <= SHORT_LINE_CHARS) & ~lines.blank_L
    return share(lines.of_documents(short), lines.of_documents(~lines.blank_L))


def written_lines(batch: Batch) -> Floats:
    """Lines that are not blank."""
    lines = batch.once(feed_lines)
    return lines.of_documents(~lines.blank_L).astype(numpy.float64)


def line_feeds_a_piece(batch: Batch) -> Floats:
    """Line feeds for each piece."""
    return share(batch.lines.counts_D - 1, _piece_counts(batch))


def characters(batch: Batch) -> Floats:
    """Characters, white space too."""
    return batch.lengths_D.astype(numpy.float64)


def phrase_positions(batch: Batch, phrase: bytes) -> Integers:
    """Where an ASCII phrase in small letters begins in the batch, in whatever case it is written."""
    lowered, found, at = batch.once(_lowered_bytes), [], -1
    while (at := lowered.find(phrase, at + 1)) >= 0:
        found.append(at)
    return numpy.array(found, numpy.int64)


def _lowered_bytes(batch: Batch) -> bytes:
    """One byte a character: its small letter if that is ASCII, else 0; so is U+0130, whose small letter is two."""
    lowered = batch.lowered_C.astype(numpy.uint8)
    lowered[numpy.flatnonzero((batch.lowered_C > 127) | (batch.codes_C == 0x130))] = 0
    return lowered.tobytes()


def _spoken(batch: Batch) -> Flags:
    """Which pieces are not punctuation alone. Shape (P,)."""
    pieces = batch.once(word_pieces)
    spoken_P = pieces.plain_P.copy()
    odd = numpy.flatnonzero(~spoken_P)
    spans, silent = pieces.spans, character_marks.PUNCTUATION
    spoken_P[odd] = any_flagged(~batch.once(marks), silent, spans.starts_S[odd], spans.ends_S[odd])
    return spoken_P


def any_flagged(bits_C: NDArray[Any], flag: int, starts: Integers, ends: Integers) -> Flags:
    """Whether any character of each span has a bit; only longer spans whose first has it not are searched."""
    found: Flags = bits_C[starts] & flag != 0
    left = numpy.flatnonzero(~found & (ends - starts > 1))
    if len(left):
        lengths = ends[left] - starts[left]
        begins = numpy.cumsum(lengths) - lengths
        at = numpy.repeat(starts[left] - begins, lengths) + numpy.arange(int(lengths.sum()))
        found[left] = numpy.logical_or.reduceat(bits_C[at] & flag != 0, begins)
    return found


def _signs(batch: Batch, flags_C: Flags) -> Integers:
    return numpy.diff(numpy.searchsorted(numpy.flatnonzero(flags_C), _bounds(batch)))


def _bounds(batch: Batch) -> Integers:
    return numpy.concatenate([batch.starts_D, [len(batch.codes_C)]])


def _piece_counts(batch: Batch) -> Integers:
    return batch.once(word_pieces).spans.counts_D


def _asked_of_long(batch: Batch, values_D: Integers) -> Floats:
    result = values_D.astype(numpy.float64)
    result[batch.chunks.counts_D <= SHORT_WORDS] = numpy.nan
    return result


def _ends_with_ellipsis(batch: Batch, lines: Lines) -> Flags:
    chunks, codes_C = batch.chunks, batch.codes_C
    last = lines.last_L[~lines.blank_L]
    starts, ends = chunks.starts_S[last], chunks.ends_S[last]
    dots = ends - starts >= 3
    for place in range(1, 4):
        dots &= codes_C[numpy.maximum(ends - place, 0)] == ord(".")
    flagged = numpy.zeros(len(lines.blank_L), numpy.bool_)
    flagged[~lines.blank_L] = dots | (codes_C[ends - 1] == ord("…"))
    return flagged


@cache
def _known_stop_words(any_case: bool) -> tuple[KnownWords, Integers]:
    """The stop words, in any case all their spellings in small and capital letters; and the word of each spelling."""
    spellings = [
        ("".join(letters), number)
        for number, word in enumerate(STOP_WORDS)
        for letters in (_spellings(word) if any_case else [word])
    ]
    order = numpy.argsort(Batch([" ".join(text for text, _ in spellings)]).chunk_hashes_K)
    return KnownWords.of_chunks([text for text, _ in spellings]), numpy.array([n for _, n in spellings])[order]


def _spellings(word: str) -> Iterator[tuple[str, ...]]:
    return product(*((letter, letter.upper()) for letter in word))


def _stop_words(hashes: Hashes, offsets: Integers, *, any_case: bool) -> Integers:
    """How many different stop words are among the words of each document."""
    known, word_of_spelling = _known_stop_words(any_case)
    places, spellings = known.find(hashes)
    words = word_of_spelling[spellings]
    said = [numpy.diff(numpy.searchsorted(places[words == word], offsets)) > 0 for word in range(len(STOP_WORDS))]
    counted: Integers = numpy.sum(said, axis=0)
    return counted
