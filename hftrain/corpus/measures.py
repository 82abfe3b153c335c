"""What can be counted about a document, for a classifier of quality: one number a measure, for many documents at once.

The measures were chosen before any was tried, by asking what sets text that somebody wrote for readers apart from
what a site prints around it: whole sentences in long lines against labels, dates, prices, menus and calls to act.
They are shares and logarithms, so that none of them grows without bounds, and few enough to learn from some hundred
examples.

Shape legend: D documents, C characters, L lines, W words of a batch; F measures.
"""

from functools import cache
from typing import Any

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import HIGHEST_CODE, Batch, Hashes, Integers, Spans, hash_spans
from hftrain.corpus.known_words import KnownWords

Floats = NDArray[numpy.float64]
Classes = NDArray[numpy.uint8]

CHARACTER_CLASSES = {
    "letters": "",
    "capitals": "",
    "digits": "",
    "spaces": "",
    "line_feeds": "\n",
    "full_stops": ".…。",
    "question_marks": "?？",
    "exclamation_marks": "!！",
    "commas": ",;:，；：、",
    "quotes": "\"'“”‘’«»„",
    "brackets": "()[]{}",
    "hyphens": "-–—",
    "currency": "$€£¥",
    "signs": "",
}
"""Each character is of one class; the empty ones are told by ``str.isdigit`` and the like, the rest are signs."""

WORD_CLASSES = {
    "function_words": "the of and to in a is that for it as with be by on not this are from at or an which but have "
    "has had were was been being their its than then there these those into over such when where while who whom whose",
    "connectives": "because however although though therefore thus since unless whereas whether despite instead "
    "moreover furthermore nevertheless indeed perhaps rather",
    "first_person": "i me my mine we us our ours myself ourselves",
    "second_person": "you your yours yourself",
    "third_person": "he him his she her hers they them their himself herself themselves",
    "reporting": "said says told asked wrote found showed according reported explained argued suggests thought",
    "time_words": "january february march april may june july august september october november december jan feb mar "
    "apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri "
    "sat sun am pm gmt est pst today yesterday ago",
    "commerce": "buy sale price prices cheap discount shop shopping store order orders cart checkout shipping delivery "
    "customer customers product products item items free deal deals offer offers hotel hotels booking book brand "
    "warranty payment rental rent sell seller purchase online usd",
    "site_words": "click login log sign register subscribe rss newsletter comment comments reply replies post posted "
    "posts posting thread forum member members joined profile view views share facebook twitter tweet email mail link "
    "links page pages home menu search next previous back top related tags tag category categories archive archives "
    "copyright reserved rights privacy policy terms cookies javascript browser website site blog trackback permalink "
    "print download upload user username password submit loading sidebar photos photo video videos location edit "
    "url http https www com org html faq contact",
    "calls": "please must try get find see visit call contact read check learn join enjoy discover save win",
}

LONG_LINE_WORDS = 15
"""A line of so many words that ends like a sentence is taken for a line of prose."""

SHORT_LINE_WORDS = 5
RUN_WORDS = 3
DOCUMENT_BITS = 20
"""A batch holds fewer documents than 2**20."""

NAMES = (
    "log_words",
    "log_prose_words",
    "log_longest_line_words",
    "prose_share",
    "log_mean_line_words",
    "short_line_share",
    "ended_line_share",
    "lower_start_share",
    "repeated_line_share",
    "log_mean_sentence_words",
    "mean_word_chars",
    "distinct_words",
    "distinct_triples",
    "capital_share",
    *(f"{name}_share" for name in CHARACTER_CLASSES if name not in ("letters", "capitals", "spaces", "line_feeds")),
    *(f"{name}_share" for name in WORD_CLASSES),
    "ends_like_a_sentence",
)


def measures(batch: Batch) -> Floats:
    """All ``NAMES`` of each document. Shape (D, F); every number is finite, for an empty text too."""
    classes_C = _class_of_code()[batch.codes_C]
    counts = _character_counts(batch, classes_C)
    words_D = batch.words.counts_D
    one_word_D = numpy.maximum(1, words_D)
    letters_D = numpy.maximum(1, counts["letters"] + counts["capitals"])
    visible_D = numpy.maximum(1, batch.lengths_D - counts["spaces"] - counts["line_feeds"])
    sentences_D = numpy.maximum(1, counts["full_stops"] + counts["question_marks"] + counts["exclamation_marks"])
    word_chars_D = numpy.bincount(batch.words.documents_S, weights=batch.words.lengths_S, minlength=len(batch))
    first_N, triples_N = batch.word_windows(RUN_WORDS)
    triple_offsets = numpy.searchsorted(first_N, batch.words.offsets)
    found = {
        "log_words": numpy.log1p(words_D),
        **_line_measures(batch, classes_C),
        "log_mean_sentence_words": numpy.log1p(words_D / sentences_D),
        "mean_word_chars": word_chars_D / one_word_D,
        "distinct_words": _evenness(_distinct_counts(batch.word_hashes_W, batch.words.offsets), words_D),
        "distinct_triples": _evenness(_distinct_counts(triples_N, triple_offsets), numpy.diff(triple_offsets)),
        "capital_share": counts["capitals"] / letters_D,
        **{f"{name}_share": counts[name] / visible_D for name in CHARACTER_CLASSES},
        **{f"{name}_share": count / one_word_D for name, count in _word_counts(batch).items()},
    }
    return numpy.stack([numpy.asarray(found[name], dtype=numpy.float64) for name in NAMES], axis=1)


@cache
def _class_of_code() -> NDArray[numpy.uint8]:
    """The place of each code point in ``CHARACTER_CLASSES``. Shape (0x110000,)."""
    names = list(CHARACTER_CLASSES)
    classes = numpy.full(HIGHEST_CODE + 1, names.index("signs"), dtype=numpy.uint8)
    for code in range(HIGHEST_CODE + 1):
        character = chr(code)
        if character.isalpha():
            classes[code] = names.index("capitals" if character.isupper() else "letters")
        elif character.isdigit():
            classes[code] = names.index("digits")
        elif character.isspace():
            classes[code] = names.index("spaces")
    for place, characters in enumerate(CHARACTER_CLASSES.values()):
        classes[[ord(character) for character in characters]] = place
    return classes


def _character_counts(batch: Batch, classes_C: Classes) -> dict[str, Integers]:
    """How many characters of each class a document has."""
    documents = [
        numpy.bincount(classes_C[begin:end], minlength=len(CHARACTER_CLASSES))
        for begin, end in zip(batch.starts_D.tolist(), batch.ends_D.tolist(), strict=True)
    ]
    counts = numpy.array(documents, dtype=numpy.int64).reshape(len(batch), len(CHARACTER_CLASSES))
    return dict(zip(CHARACTER_CLASSES, counts.T, strict=True))


@cache
def _word_table() -> tuple[KnownWords, NDArray[numpy.bool_]]:
    """All words of ``WORD_CLASSES``, and of which classes each is: shape (V, classes)."""
    words = {word: None for listed in WORD_CLASSES.values() for word in listed.split()}
    hashes = Batch(list(words)).word_hashes_W
    order = numpy.argsort(hashes)
    belongs = numpy.array([[word in listed.split() for listed in WORD_CLASSES.values()] for word in words])
    return KnownWords(hashes[order]), belongs[order]


def _word_counts(batch: Batch) -> dict[str, Integers]:
    """How many words of each class a document has."""
    table, belongs = _word_table()
    positions, places = table.find(batch.word_hashes_W)
    documents = numpy.searchsorted(batch.words.offsets, positions, side="right") - 1
    return {
        name: numpy.bincount(documents[belongs[places, column]], minlength=len(batch))
        for column, name in enumerate(WORD_CLASSES)
    }


def _line_measures(batch: Batch, classes_C: Classes) -> dict[str, Floats]:
    """What the lines say, white space around them and empty ones left out."""
    visible = numpy.flatnonzero((classes_C != _place("spaces")) & (classes_C != _place("line_feeds")))
    lows, highs = (numpy.searchsorted(visible, edges) for edges in (batch.lines.starts_S, batch.lines.ends_S))
    is_full = highs > lows
    documents = batch.lines.documents_S[is_full]
    offsets = numpy.searchsorted(documents, numpy.arange(len(batch) + 1))
    lines = Spans(visible[lows[is_full]], visible[highs[is_full] - 1] + 1, offsets)
    edges = numpy.searchsorted(batch.words.starts_S, [lines.starts_S, lines.ends_S])
    words_L = edges[1] - edges[0]
    is_ended = _ends_like_a_sentence(classes_C, lines.ends_S)
    is_prose = is_ended & (words_L >= LONG_LINE_WORDS)

    def total(values: NDArray[Any]) -> Floats:
        return numpy.bincount(documents, weights=values, minlength=len(batch)).astype(numpy.float64)

    lines_D = numpy.maximum(1, lines.counts_D)
    words_D = numpy.maximum(1, total(words_L))
    longest_D = numpy.zeros(len(batch), numpy.int64)
    numpy.maximum.at(longest_D, documents, words_L)
    has_line = lines.counts_D > 0
    ends_ended = numpy.zeros(len(batch))
    ends_ended[has_line] = is_ended[offsets[1:][has_line] - 1]
    return {
        "log_prose_words": numpy.log1p(total(words_L * is_prose)),
        "log_longest_line_words": numpy.log1p(longest_D),
        "prose_share": total(words_L * is_prose) / words_D,
        "log_mean_line_words": numpy.log1p(words_D / lines_D),
        "short_line_share": total(words_L < SHORT_LINE_WORDS) / lines_D,
        "ended_line_share": total(is_ended) / lines_D,
        "lower_start_share": total(classes_C[lines.starts_S] == _place("letters")) / lines_D,
        "repeated_line_share": 1 - _distinct_counts(hash_spans(batch.codes_C, lines), offsets) / lines_D,
        "ends_like_a_sentence": ends_ended,
    }


def _ends_like_a_sentence(classes_C: Classes, ends_L: Integers) -> NDArray[numpy.bool_]:
    """Whether a line ends with . ? or !, or with one of them and a quote or bracket."""
    stops = [_place(name) for name in ("full_stops", "question_marks", "exclamation_marks")]
    closers = [_place(name) for name in ("quotes", "brackets")]
    last, before = classes_C[ends_L - 1], classes_C[numpy.maximum(0, ends_L - 2)]
    return numpy.isin(last, stops) | (numpy.isin(last, closers) & numpy.isin(before, stops))


def _distinct_counts(numbers: Hashes, offsets: Integers) -> Integers:
    """How many different numbers each document has. ``offsets`` (D + 1,).

    A document's place and the upper bits of a number are sorted as one: two words of a document are taken for one
    by a chance of 2**-44 a pair.
    """
    documents = numpy.repeat(numpy.arange(len(offsets) - 1, dtype=numpy.uint64), numpy.diff(offsets))
    keys = numpy.sort((documents << numpy.uint64(64 - DOCUMENT_BITS)) | (numbers >> numpy.uint64(DOCUMENT_BITS)))
    is_new = numpy.ones(len(keys), dtype=numpy.bool_)
    is_new[1:] = keys[1:] != keys[:-1]
    owners = keys[is_new] >> numpy.uint64(64 - DOCUMENT_BITS)
    return numpy.bincount(owners.astype(numpy.int64), minlength=len(offsets) - 1)


def _evenness(distinct: Integers, total: Integers) -> Floats:
    """log(distinct) / log(total): Herdan's C, which a text's length sways little; 1 for none or one."""
    return numpy.where(total > 1, numpy.log(numpy.maximum(1, distinct)) / numpy.log(numpy.maximum(2, total)), 1.0)


def _place(name: str) -> int:
    return list(CHARACTER_CLASSES).index(name)
