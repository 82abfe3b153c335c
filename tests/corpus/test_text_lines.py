import re

from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus.batches import Batch, Spans
from hftrain.corpus.text_lines import broken_lines, came_before, feed_lines, paragraphs, stripped

TEXTS = st.lists(st.text("ab \n\r\t\x0b\x1c\x85\u2028.", max_size=25), max_size=6)


def said(batch: Batch, spans: Spans) -> list[list[str]]:
    joined = "\n".join([*batch.texts, ""])
    found = [joined[a:b] for a, b in zip(spans.starts_S.tolist(), spans.ends_S.tolist(), strict=True)]
    return [found[a:b] for a, b in zip(spans.offsets[:-1].tolist(), spans.offsets[1:].tolist(), strict=True)]


@given(TEXTS)
@settings(deadline=None)
def test_broken_lines_are_those_of_splitlines(texts: list[str]) -> None:
    batch = Batch(texts)
    assert said(batch, broken_lines(batch).spans) == [text.splitlines() for text in texts]


@given(TEXTS)
@settings(deadline=None)
def test_feed_lines_are_those_of_split_and_stripped_ones_say_something(texts: list[str]) -> None:
    batch = Batch(texts)
    lines = feed_lines(batch)
    assert said(batch, lines.spans) == [text.split("\n") for text in texts]
    assert said(batch, stripped(batch, lines)) == [
        [line.strip() for line in text.split("\n") if line.strip()] for text in texts
    ]


@given(TEXTS)
@settings(deadline=None)
def test_paragraphs_lie_between_two_or_more_line_feeds(texts: list[str]) -> None:
    batch = Batch(texts)
    assert said(batch, paragraphs(batch)) == [
        re.split(r"\n{2,}", text.strip()) if text.strip() else [] for text in texts
    ]


@given(st.lists(st.lists(st.text("abé", min_size=1, max_size=12), max_size=8), max_size=5))
@settings(deadline=None)
def test_a_line_came_before_if_an_earlier_one_of_its_document_says_the_same(documents: list[list[str]]) -> None:
    batch = Batch(["\n".join(lines) for lines in documents])
    expected = [[line in lines[:place] for place, line in enumerate(lines)] or [False] for lines in documents]
    flags = came_before(batch, batch.lines).tolist()
    assert flags == [flag for document in expected for flag in document]


def test_lines_that_differ_in_one_character_are_told_apart() -> None:
    lines = ["x" * place + "y" + "x" * (99 - place) for place in range(100)]
    batch = Batch(["\n".join(lines), "\n".join(lines)])
    assert not came_before(batch, batch.lines).any()
