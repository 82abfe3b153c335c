"""Spans are those of Python's own splitting; a number stands for the same piece wherever it lies."""

import re

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus import batches
from hftrain.corpus.batches import (
    BATCH_CHARS,
    MULTIPLIER,
    Batch,
    Spans,
    hash_spans,
    in_batches,
    window_hashes_at,
    window_starts,
    window_sums,
)

TEXTS = ["Hello, World! x", "", "  a\n\nb_c Ünï 9 ", "Straße", "\n", "日本 語\u2028x\x1cy"]


def said(batch: Batch, spans: Spans) -> list[str]:
    return [batch.said(spans, place) for place in range(len(spans.starts_S))]


@settings(deadline=None)  # the first batch of all makes the tables
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_spans_are_those_of_python(texts: list[str]) -> None:
    batch = Batch(texts)
    assert said(batch, batch.lines) == [line for text in texts for line in text.split("\n")]
    assert said(batch, batch.chunks) == [chunk for text in texts for chunk in text.split()]
    assert said(batch, batch.words) == [word for text in texts for word in re.findall(r"\w+", text)]
    assert batch.lines.counts_D.tolist() == [text.count("\n") + 1 for text in texts]
    assert batch.words.counts_D.tolist() == [len(re.findall(r"\w+", text)) for text in texts]


def test_words_have_one_number_in_any_case_and_place() -> None:
    batch = Batch(["The cat", "saw THE cAt", "thecat"])
    the, cat, saw, the_again, cat_again, both = batch.word_hashes_W.tolist()
    assert (the, cat) == (the_again, cat_again)
    assert len({the, cat, saw, both}) == 4


@pytest.mark.parametrize("size", range(1, 15))
def test_a_window_is_the_polynomial_of_its_members(size: int) -> None:
    members = [3 * place + 2**60 for place in range(20)]
    sums = window_sums(numpy.array(members, numpy.uint64), size)
    wanted = []
    for first in range(20 - size + 1):
        total = 0
        for member in members[first : first + size]:
            total = (total * MULTIPLIER + member) % 2**64
        wanted.append(total)
    assert sums.tolist() == wanted


def test_chunks_keep_case_and_punctuation() -> None:
    numbers = Batch(["The the the,"]).chunk_hashes_K.tolist()
    assert len(set(numbers)) == 3


def test_equal_words_have_equal_numbers_and_others_others() -> None:
    texts = ["".join(chr(97 + digit) for digit in map(int, str(number))) for number in range(20000)]
    numbers = Batch([" ".join(texts), " ".join(reversed(texts))]).word_hashes_W
    assert len(numpy.unique(numbers)) == 20000
    assert numbers[:20000].tolist() == numbers[:19999:-1].tolist()


def test_numbers_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(["word" * count for count in range(1, 60)])
    expected = Batch([text]).word_hashes_W.tolist()
    monkeypatch.setattr(batches, "BLOCK_CHARS", 10)
    assert Batch([text]).word_hashes_W.tolist() == expected


def test_empty_spans_have_a_number_too() -> None:
    batch = Batch(["a\n\na\n"])
    numbers = hash_spans(batch.codes_C, batch.lines).tolist()
    assert numbers[0] == numbers[2] and numbers[1] == numbers[3] and numbers[0] != numbers[1]


def test_windows_stay_within_their_document() -> None:
    batch = Batch(["a b c d", "x y", "b c D!"])
    first, numbers = batch.word_windows(3)
    assert [batch.said(batch.words, one, one + 2) for one in first] == ["a b c", "b c d", "b c D"]
    assert numbers[1] == numbers[2] and numbers[0] != numbers[1]
    assert window_starts(numpy.array([0, 0, 2]), 3).tolist() == []


def test_windows_at_some_places_have_the_numbers_of_all_windows() -> None:
    batch = Batch(["a b c d e f"])
    starts = numpy.array([3, 0, 3])
    assert window_hashes_at(batch.word_hashes_W, starts, 3).tolist() == batch.word_windows(3)[1][starts].tolist()


def test_lines_know_their_words() -> None:
    assert Batch(["a b\n\nc", "", "d e\n"]).line_words.tolist() == [0, 2, 2, 3, 3, 5, 5]


def test_no_text_at_all_has_no_spans() -> None:
    batch = Batch([])
    assert len(batch.lines.starts_S) == len(batch.words.starts_S) == len(batch.word_windows(2)[0]) == 0


def test_batches_close_at_their_size() -> None:
    sizes = [len(batch) for batch in in_batches(["x" * (BATCH_CHARS // 2)] * 5)]
    assert sizes == [2, 2, 1]
