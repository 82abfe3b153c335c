"""The reference definitions below are read off the paper and datatrove's code, in plain Python on strings."""

import re
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus import repetition
from hftrain.corpus.batches import Batch
from hftrain.corpus.word_splitting import pieces

SIZES = range(5, 11)
TEXTS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["a", "bc", "d’s", "e,", "(f)"]), st.sampled_from([" ", " ", "\n", "\n\n"])),
        max_size=50,
    ),
    max_size=5,
).map(lambda texts: ["".join(word + gap for word, gap in text) for text in texts])


def words_of(text: str) -> list[str]:
    return [piece for chunk in text.split() for piece in pieces(chunk)]


def top_share(text: str, size: int) -> float:
    words = words_of(text)
    runs = Counter(" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
    if not runs:
        return 0
    (run, count), *_ = runs.most_common(1)
    return len(run) * count / len(text)


def duplicate_share(text: str, size: int) -> float:
    words, met, at, chars = words_of(text), set(), 0, 0
    while at < len(words) - size + 1:
        run = "".join(words[at : at + size])
        if run in met:
            chars += len(run)
            at += size
        else:
            met.add(run)
            at += 1
    return chars / max(1, len(text))


def repeated(parts: list[str]) -> tuple[int, int]:
    later = [part for place, part in enumerate(parts) if part in parts[:place]]
    return len(later), sum(map(len, later))


def values(measure, texts: list[str]) -> list[float]:
    return pytest.approx(measure(Batch(texts)).tolist(), abs=1e-12)


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_runs_of_words_are_measured_as_the_definitions_say(texts: list[str]) -> None:
    for size in (2, 3, 4):
        assert values(repetition.top_ngram_share(size), texts) == [top_share(text, size) for text in texts]
    for size in SIZES:
        assert values(repetition.duplicate_ngram_share(size), texts) == [duplicate_share(text, size) for text in texts]


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_lines_and_paragraphs_are_measured_as_the_definitions_say(texts: list[str]) -> None:
    lines = [re.split("\n+", text) for text in texts]
    parts = [re.split("\n{2,}", text.strip()) for text in texts]
    sizes = [max(1, len(text)) for text in texts]
    pairs = list(zip(lines, sizes, strict=True))
    assert values(repetition.duplicate_line_share, texts) == [repeated(said)[0] / len(said) for said in lines]
    assert values(repetition.duplicate_line_chars, texts) == [repeated(said)[1] / size for said, size in pairs]
    assert values(repetition.duplicate_paragraph_share, texts) == [repeated(said)[0] / len(said) for said in parts]
    assert values(repetition.duplicate_paragraph_chars, texts) == [
        repeated(said)[1] / size for said, size in zip(parts, sizes, strict=True)
    ]


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_bound_is_never_below_what_it_bounds(texts: list[str]) -> None:
    batch = Batch(texts)
    for size in (2, 3, 4):
        assert (repetition.top_ngram_bound(size)(batch) >= repetition.top_ngram_share(size)(batch)).all()
    for size in SIZES:
        assert (repetition.duplicate_ngram_bound(batch) >= repetition.duplicate_ngram_share(size)(batch)).all()
    exact = numpy.nan_to_num(repetition.top_triple_share(batch))
    assert (repetition.top_triple_bound(batch) >= exact).all()


def test_a_bound_holds_for_words_too_long_for_its_key() -> None:
    text = " ".join(["x" * 5000, "y", "z"] * 3)
    batch = Batch([text, "a b c d e f"])
    for bound, measure in (
        (repetition.top_ngram_bound(2), repetition.top_ngram_share(2)),
        (repetition.duplicate_ngram_bound, repetition.duplicate_ngram_share(5)),
        (repetition.top_triple_bound, repetition.top_triple_share),
    ):
        assert (bound(batch) >= numpy.nan_to_num(measure(batch))).all()


def test_of_equally_frequent_runs_the_first_counts() -> None:
    # "a b" and "ccc ddd" are each said twice: 2 * 3 of 23 characters, as "a b" is first
    (share,) = repetition.top_ngram_share(2)(Batch(["a b x ccc ddd y a b ccc ddd"]))
    assert share == pytest.approx(2 * 3 / 27)


def test_the_spans_shown_are_those_repeated_most() -> None:
    assert repetition.top_line("ab\nlonger line\nab\nlonger line\nab") == "'longer line'"
    assert repetition.top_line("ab\ncd") == ""
    assert repetition.top_paragraph("one\n\ntwo\n\none") == "'one'"
    assert repetition.top_triple("a b c x a b c") == "'a b c'"
    assert repetition.top_ngram("He's in. He's in.", 3) == '"He \'s in"'
    assert repetition.top_ngram("too short", 3) == ""
