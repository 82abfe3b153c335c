r"""The lines of web pages that C4 keeps, and what the rules of C4 ask of them.

Raffel et al. 2020, arXiv:1910.10683, section 2.2, as datatrove 0.10's ``C4QualityFilter`` does it: of each line
(``splitlines``) the white space around it and its citation marks go; a line stays if it ends like a sentence, has three
words, none of more than 1000 characters, and does not talk about JavaScript, cookies or terms of use.

Shape legend: C characters, D documents, K chunks, L lines, P pieces.
"""

import re
from dataclasses import dataclass

import numpy

from hftrain.corpus import character_marks
from hftrain.corpus.batches import Batch, Integers, Spans
from hftrain.corpus.character_marks import mark_table, marks
from hftrain.corpus.prose_measures import any_flagged, phrase_positions
from hftrain.corpus.text_lines import Flags, Floats, Lines, broken_lines, sums
from hftrain.corpus.word_pieces import word_pieces
from hftrain.corpus.word_splitting import pieces

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
LINE_ENDS = (".", "?", "!", '"', "'")
MINIMUM_LINE_WORDS = 3
LONGEST_WORD_CHARS = 1000
COOKIE = "cookie"
COOKIE_PHRASES = ("cookie policy", "uses cookies", "use of cookies", "use cookies")
POLICY_PHRASES = ("terms of use", "privacy policy", *COOKIE_PHRASES)
PLACEHOLDER = "lorem ipsum"


@dataclass(frozen=True)
class LineVerdict:
    """What C4 makes of a line: its edited form, or None if it goes; and whether it condemns the page."""

    kept: str | None
    placeholder: bool = False
    bracket: bool = False


@dataclass(frozen=True)
class WebLines:
    """Of each document: the sentences of the lines that stay, and the lines that condemn it. Shapes (D,)."""

    sentences_D: Integers
    placeholders_D: Integers
    brackets_D: Integers


def c4_lines(text: str) -> str:
    """The text without the lines that C4 drops, and without citation marks."""
    verdicts = map(judged_line, text.splitlines())
    return "\n".join(verdict.kept for verdict in verdicts if verdict.kept is not None).strip()


def judged_line(line: str) -> LineVerdict:
    """What C4 makes of one line."""
    line = line.strip()
    words = line.split()
    if any(len(word) > LONGEST_WORD_CHARS for word in words):
        return LineVerdict(None)
    line = CITATION.sub("", line)
    if not line.endswith(LINE_ENDS) or line.endswith("...") or len(words) < MINIMUM_LINE_WORDS:
        return LineVerdict(None)
    lowered = line.lower()
    if PLACEHOLDER in lowered:
        return LineVerdict(None, placeholder=True)
    if "javascript" in lowered:
        return LineVerdict(None)
    if "{" in line:
        return LineVerdict(None, bracket=True)
    return LineVerdict(None if any(phrase in lowered for phrase in POLICY_PHRASES) else line)


def sentence_count(line: str) -> int:
    """Sentences of a line: one begins at the first word after a final punctuation mark. An empty line has one."""
    count, ended, end = 1, False, 0
    for match in re.finditer(r"\S+", line):
        if ended and line[end : match.start()] not in ("", " "):  # other white space is a word here
            count, ended = count + 1, False
        end = match.end()
        for piece in pieces(match[0]):
            marks_of = [int(mark_table()[ord(character)]) for character in piece]
            if len(piece) == 1 and marks_of[0] & character_marks.SENTENCE_END:
                ended = True
            elif ended and any(mark & character_marks.NOT_PUNCTUATION for mark in marks_of):
                count, ended = count + 1, False
    return count


def kept_sentences(batch: Batch) -> Floats:
    """Sentences of the lines that stay."""
    return batch.once(web_lines).sentences_D.astype(numpy.float64)


def placeholder_lines(batch: Batch) -> Floats:
    """Lines of at least three words, ended like a sentence, that say "lorem ipsum"."""
    return batch.once(web_lines).placeholders_D.astype(numpy.float64)


def bracket_lines(batch: Batch) -> Floats:
    """Lines of at least three words, ended like a sentence, that hold a curly bracket."""
    return batch.once(web_lines).brackets_D.astype(numpy.float64)


def web_lines(batch: Batch) -> WebLines:
    """Judge all lines of a batch: by arrays, and one by one where a citation or a double space asks for it."""
    lines = batch.once(broken_lines)
    long_L = ~lines.blank_L & (lines.last_L - lines.first_L + 1 >= MINIMUM_LINE_WORDS)
    wordy = numpy.flatnonzero(batch.chunks.lengths_S > LONGEST_WORD_CHARS)
    long_L &= ~_holding(lines, batch.chunks.starts_S[wordy])
    cited_L = long_L & _holding(lines, _citations(batch))
    ended_L = long_L & ~cited_L & _ended(batch, lines)
    placeholder_L = ended_L & _holding(lines, phrase_positions(batch, PLACEHOLDER.encode()))
    ended_L &= ~placeholder_L & ~_holding(lines, phrase_positions(batch, b"javascript"))
    bracket_L = ended_L & _holding(lines, numpy.flatnonzero(batch.codes_C == ord("{")))
    ended_L &= ~bracket_L
    says_cookie = len(phrase_positions(batch, COOKIE.encode())) > 0
    for phrase in POLICY_PHRASES if says_cookie else POLICY_PHRASES[: -len(COOKIE_PHRASES)]:
        ended_L &= ~_holding(lines, phrase_positions(batch, phrase.encode()))
    sentences_L, asked_L = _sentences(batch, lines, ended_L)
    _judge_singly(batch, lines, asked_L | cited_L, sentences_L, placeholder_L, bracket_L)
    offsets = lines.spans.offsets
    return WebLines(sums(sentences_L, offsets), sums(placeholder_L, offsets), sums(bracket_L, offsets))


def _judge_singly(
    batch: Batch, lines: Lines, chosen_L: Flags, sentences_L: Integers, placeholder_L: Flags, bracket_L: Flags
) -> None:
    """Write the verdicts of the chosen lines into the three arrays."""
    chosen = numpy.flatnonzero(chosen_L)
    documents = numpy.searchsorted(lines.spans.offsets, chosen, side="right") - 1
    begins = batch.starts_D[documents]
    starts, ends = lines.spans.starts_S[chosen] - begins, lines.spans.ends_S[chosen] - begins
    rows = zip(chosen.tolist(), documents.tolist(), starts.tolist(), ends.tolist(), strict=True)
    for at, document, start, end in rows:
        verdict = judged_line(batch.texts[document][start:end])
        placeholder_L[at], bracket_L[at] = verdict.placeholder, verdict.bracket
        sentences_L[at] = 0 if verdict.kept is None else sentence_count(verdict.kept)


def _holding(lines: Lines, positions: Integers) -> Flags:
    """Which lines hold any of these character positions."""
    flagged = numpy.zeros(len(lines.blank_L), numpy.bool_)
    if len(positions):
        at = numpy.searchsorted(lines.spans.starts_S, positions, side="right") - 1
        within = at[positions < lines.spans.ends_S[at]]
        flagged[within] = True
    return flagged


def _citations(batch: Batch) -> Integers:
    """Positions at which a citation mark may begin."""
    at = numpy.flatnonzero(batch.codes_C == ord("["))
    following = batch.codes_C[at + 1]
    digit = batch.once(marks)[at + 1] & character_marks.DECIMAL != 0
    return at[digit | numpy.isin(following, list(map(ord, "]ec")))]


def _ended(batch: Batch, lines: Lines) -> Flags:
    """Which lines end like a sentence and not with an ellipsis."""
    written = ~lines.blank_L
    last = lines.last_L[written]
    starts, ends = batch.chunks.starts_S[last], batch.chunks.ends_S[last]
    codes_C = batch.codes_C
    dots = ends - starts >= len("...")
    for place in range(1, 4):
        dots &= codes_C[numpy.maximum(ends - place, 0)] == ord(".")
    flagged = numpy.zeros(len(lines.blank_L), numpy.bool_)
    flagged[written] = numpy.isin(codes_C[ends - 1], list(map(ord, LINE_ENDS))) & ~dots
    return flagged


def _sentences(batch: Batch, lines: Lines, kept_L: Flags) -> tuple[Integers, Flags]:
    """Sentences of the lines that stay, and which of them must be counted singly.

    A sentence begins at each word (a piece that is not punctuation) between which and the last word before it in the
    line, or else the line's beginning, a final punctuation mark stands; and at the line's beginning.
    """
    found = batch.once(word_pieces)
    ends_P, word_P = _kinds(batch, found.spans, found.plain_P)
    ended = numpy.concatenate([[0], numpy.cumsum(ends_P)])
    sentences_L = numpy.zeros(len(kept_L), numpy.int64)
    kept = numpy.flatnonzero(kept_L)
    begins, after = found.first_K[lines.first_L[kept]], found.first_K[lines.last_L[kept] + 1]
    counts = after - begins
    inner = numpy.repeat(begins - (numpy.cumsum(counts) - counts), counts) + numpy.arange(int(counts.sum()))
    are_words = word_P[inner]
    words, line_of = inner[are_words], numpy.repeat(numpy.arange(len(kept)), counts)[are_words]
    before = numpy.concatenate([words[:0], [-1], words[:-1]])[: len(words)]
    opens = ended[words] > ended[numpy.maximum(before, begins[line_of] - 1) + 1]
    sentences_L[kept] = 1 + numpy.bincount(line_of[opens], minlength=len(kept))
    return sentences_L, kept_L & _oddly_spaced(batch, lines, found.first_K, word_P)


def _kinds(batch: Batch, spans: Spans, plain_P: Flags) -> tuple[Flags, Flags]:
    """Which pieces are one final punctuation mark, and which are not punctuation alone."""
    marks_C = batch.once(marks)
    odd = numpy.flatnonzero(~plain_P)
    starts, ends = spans.starts_S[odd], spans.ends_S[odd]
    ends_P, word_P = numpy.zeros(len(plain_P), numpy.bool_), plain_P.copy()
    ends_P[odd] = (ends - starts == 1) & (marks_C[starts] & character_marks.SENTENCE_END != 0)
    word_P[odd] = any_flagged(marks_C, character_marks.NOT_PUNCTUATION, starts, ends)
    return ends_P, word_P


def _oddly_spaced(batch: Batch, lines: Lines, first_K: Integers, word_P: Flags) -> Flags:
    """Lines with white space other than one space before something that is not a word: it counts as a word there."""
    chunks = batch.chunks
    if len(chunks.starts_S) < 2:
        return numpy.zeros(len(lines.blank_L), numpy.bool_)
    starts, before = chunks.starts_S[1:], chunks.ends_S[:-1]
    odd = (starts - before != 1) | (batch.codes_C[before] != ord(" "))
    odd &= ~word_P[first_K[1:-1]]
    flagged = _holding(lines, starts[odd])
    opening = numpy.zeros(len(chunks.starts_S) + 1, numpy.bool_)
    opening[1:-1] = odd
    running = numpy.cumsum(opening)
    inner = ~lines.blank_L
    inner[inner] = running[lines.last_L[inner]] > running[lines.first_L[inner]]
    return flagged & inner
