import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hftrain.corpus import word_pieces
from hftrain.corpus.batches import Batch
from hftrain.corpus.word_splitting import pieces

TEXTS = st.lists(st.text("abcI XY.,-'’(“”) \n\t12$é😀", max_size=30), max_size=6)


def said(batch: Batch) -> list[list[str]]:
    spans = batch.once(word_pieces.word_pieces).spans
    joined = "\n".join([*batch.texts, ""])
    found = [joined[a:b] for a, b in zip(spans.starts_S.tolist(), spans.ends_S.tolist(), strict=True)]
    return [found[a:b] for a, b in zip(spans.offsets[:-1].tolist(), spans.offsets[1:].tolist(), strict=True)]


def by_hand(text: str) -> list[str]:
    return [piece for chunk in text.split() for piece in pieces(chunk)]


@given(TEXTS)
@example(["Mr. and Mrs. Bond, co. of Inc. cannot. dont, goin. etc. I. USA. word! Jan."])
@settings(deadline=None)
def test_the_words_of_a_batch_are_the_words_of_its_texts(texts: list[str]) -> None:
    assert said(Batch(texts)) == [by_hand(text) for text in texts]


@given(TEXTS)
@settings(deadline=None)
def test_equal_words_have_equal_numbers_and_others_have_not(texts: list[str]) -> None:
    batch = Batch(texts)
    numbers = batch.once(word_pieces.word_pieces).hashes_P.tolist()
    words = [word for text in texts for word in by_hand(text)]
    assert len(set(zip(words, numbers, strict=True))) == len(set(words)) == len(set(numbers))


def test_a_word_has_the_same_number_alone_and_beside_a_mark() -> None:
    found = Batch(["don't", "(don't)", "cannot", "can not"]).once(word_pieces.word_pieces)
    numbers = found.hashes_P.tolist()
    assert numbers[:2] == numbers[3:5] and numbers[6:8] == numbers[8:10]


@given(TEXTS.filter(len), st.data())
@settings(deadline=None)
def test_a_narrowed_batch_knows_the_words_of_what_is_left(texts: list[str], data: st.DataObject) -> None:
    batch = Batch(texts)
    batch.once(word_pieces.word_pieces)
    kept = sorted(data.draw(st.sets(st.integers(0, len(texts) - 1))))
    smaller = word_pieces.narrowed(batch, numpy.array(kept, numpy.int64))
    assert smaller.has(word_pieces.word_pieces)
    fresh = Batch([texts[place] for place in kept]).once(word_pieces.word_pieces)
    known = smaller.once(word_pieces.word_pieces)
    assert said(smaller) == [by_hand(texts[place]) for place in kept]
    for name in ("hashes_P", "plain_P", "first_K"):
        assert getattr(known, name).tolist() == getattr(fresh, name).tolist()


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word-{number}, don't{number}" for number in range(40)]
    before = said(Batch(texts))
    monkeypatch.setattr(word_pieces, "REMEMBERED_CHUNKS", 7)
    word_pieces.forget()
    after = [words for text in texts for words in said(Batch([text]))]
    assert after == before
    assert len(word_pieces._lengths_of) <= 7
    word_pieces.forget()
