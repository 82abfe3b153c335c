import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus.word_splitting import FRAMED, LONGEST_ADDRESS, _framed, _pieces, _rejoined, pieces, tables

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize(
    ("chunk", "parts"),
    [
        ("word", "word"),
        ("word,", "word ,"),
        ("(don't!)", "( do n't ! )"),
        ("cannot.", "can not ."),
        ("Mr.", "Mr."),
        ("“Mr.”", "“ Mr. ”"),
        ("non-Mr.", "non - Mr."),
        ("John’s", "John ’s"),
        ("well-known", "well - known"),
        ("sea—and", "sea — and"),
        ("word...", "word ..."),
        ("U.S.", "U.S."),
        ("I.", "I."),
        ("USA.", "USA ."),
        ("5km", "5 km"),
        ("$5", "$ 5"),
        ("10am", "10 am"),
        ("3,000.5", "3,000.5"),
        ("2019-20", "2019 - 20"),
        ("hello:)", "hello :)"),
        ("e.g.,", "e.g. ,"),
        ("end.Next", "end . Next"),
        ("and/or", "and/or"),
        ("he/she", "he / she"),
        ("self.x=y", "self.x = y"),
        ("me@example.org", "me@example.org"),
        ("https://example.org/a-b?c=d", "https://example.org/a-b?c=d"),
        ("(www.example.org)", "( www.example.org )"),
        ("its", "its"),
        ("she'll've", "she 'll 've"),
        ("«tête-à-tête»", "« tête - à - tête »"),
        ("😀😀", "😀 😀"),
        ("=====", "= = = = ="),
        ("-----", "-----"),
    ],
)
def test_a_chunk_is_cut_into_words_and_marks(chunk: str, parts: str) -> None:
    assert " ".join(pieces(chunk)) == parts


@pytest.mark.parametrize("unit", ["a.b", "(", ")", ".", "x-", "a@b:", "…", "1km", "://"])
def test_a_chunk_of_a_million_characters_takes_no_longer_than_its_length(unit: str) -> None:
    chunk = unit * (10**6 // len(unit))
    assert "".join(pieces(chunk)) == chunk


def test_an_address_is_looked_for_up_to_a_length() -> None:
    address = "https://example.org/" + "a-b" * 700
    assert len(address) > LONGEST_ADDRESS and len(pieces(address)) > 1
    assert len(pieces(address[:LONGEST_ADDRESS])) == 1


CHUNKS = st.lists(
    st.sampled_from(
        [*"aIoxDK128.,;:!?()[]{}<>-_=+*/'\"’“”—…°%$€", "Mr", "cannot", "word", "US", "n't", "'s", "..", "km"]
    ),
    min_size=1,
    max_size=7,
).map("".join)


@given(CHUNKS)
@settings(max_examples=300, deadline=None)
def test_the_pieces_are_the_chunk(chunk: str) -> None:
    assert "".join(pieces(chunk)) == chunk
    assert all(pieces(chunk))


@given(CHUNKS)
@settings(max_examples=300, deadline=None)
def test_the_quick_way_gives_what_the_general_way_gives(chunk: str) -> None:
    held = tables()
    framed = FRAMED(chunk)
    if framed and chunk not in held.special and (found := _framed(framed, held)):
        assert found == list(_rejoined(_pieces(chunk, held, held.special), held))


@pytest.fixture(scope="module")
def reference():
    spacy = pytest.importorskip("spacy", reason="the reference splitter, spacy, is not installed")
    return spacy.blank("en").tokenizer


@given(st.lists(CHUNKS, min_size=20, max_size=20))
@settings(max_examples=60, deadline=None)
def test_made_up_chunks_are_cut_as_the_reference_cuts_them(reference, chunks: list[str]) -> None:
    for chunk in chunks:
        assert list(pieces(chunk)) == [token.text for token in reference(chunk)], chunk


def test_the_tables_are_those_of_the_reference(reference) -> None:
    from spacy.symbols import ORTH

    theirs = {text: tuple(part[ORTH] for part in parts) for text, parts in reference.rules.items()}
    assert tables().special == {text: parts for text, parts in theirs.items() if not text.isspace()}


@pytest.mark.parametrize(
    "name", ["quality/c4_demo", "langid/udhr_40_languages_half", "embedded-registry-text/factbook"]
)
def test_real_texts_are_cut_as_the_reference_cuts_them(reference, name: str) -> None:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} of the shared data is not here")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"][:20_000] for line in file][::12]
    for text in texts:
        theirs = [token.text for token in reference(text) if not token.is_space]
        assert [piece for chunk in text.split() for piece in pieces(chunk)] == theirs
