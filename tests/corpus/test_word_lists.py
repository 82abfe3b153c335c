from pathlib import Path

import pytest

from hftrain.corpus import word_lists
from hftrain.corpus.batches import Batch
from hftrain.corpus.word_lists import explicit_terms, find_terms, listed_terms
from hftrain.errors import DataError


def counts(texts: list[str], terms: list[str], *, inside_words: bool = False) -> list[int]:
    return find_terms(Batch(texts), listed_terms(terms, inside_words=inside_words)).counts_D.tolist()


def test_a_term_is_a_whole_word_in_any_case() -> None:
    assert counts(["An ASS, an ass.", "A class passed.", "", "ass"], ["ass"]) == [2, 0, 0, 1]


def test_a_phrase_is_found_across_spaces_hyphens_and_line_ends() -> None:
    texts = ["a ball gag", "a Ball-Gag", "ball\ngag, ball  gag", "ball and gag", "the ball", "gag"]
    assert counts(texts, ["ball gag"]) == [1, 1, 2, 0, 0, 0]


def test_a_phrase_does_not_begin_in_one_text_and_end_in_the_next() -> None:
    assert counts(["ball", "gag", "ball gag"], ["ball gag"]) == [0, 0, 1]


def test_a_term_with_other_signs_is_found_as_it_is_written() -> None:
    assert counts(["We use C++ and s&m.", "C and C#", "xs&m"], ["c++", "s&m"]) == [2, 0, 0]


def test_languages_without_spaces_are_searched_inside_words() -> None:
    assert counts(["我支配他"], ["支配"]) == [0]
    assert counts(["我支配他", "支"], ["支配", "支"], inside_words=True) == [1, 0]


def test_the_first_term_is_shown_with_its_place() -> None:
    found = find_terms(Batch(["nothing", "the Red Ball and a cat"]), listed_terms(["cat", "red ball"]))
    assert found.first == ("", "Red Ball")
    assert found.first_chars_D.tolist() == [0, 4]
    assert found.per_thousand(1) == pytest.approx(1000 * 2 / 6)


def test_enough_terms_must_come_thick_enough() -> None:
    found = find_terms(Batch(["cat " * 3 + "dog " * 97]), listed_terms(["cat"]))
    rule = word_lists.too_many_terms
    assert rule(found, 0, minimum_count=3, maximum=29) == "3 terms, 30.0 among 1000 words; first 'cat'"
    assert rule(found, 0, minimum_count=4, maximum=29) is None
    assert rule(found, 0, minimum_count=3, maximum=30) is None


def test_a_packaged_list_is_held_against_texts_in_its_language_only() -> None:
    texts = ["schlampe", "schlampe", "puta y puta"]
    found = explicit_terms(Batch(texts), ["de", "en", "es"])
    assert found.counts_D.tolist() == [1, 0, 2]
    assert found.first == ("schlampe", "", "puta")


def test_every_packaged_language_has_terms_and_harmless_ones_are_left_out() -> None:
    for language in word_lists.PACKAGED:
        terms = word_lists.packaged_terms(language)
        assert sum(len(listed) for _, listed in terms.by_length) + bool(terms.pieces) * 30 > 25, language
    assert explicit_terms(Batch(["sex, sexual, sexy snatch"]), ["en"]).counts_D.tolist() == [0]


def test_a_quick_look_misses_no_text_that_may_be_explicit() -> None:
    texts = ["puta " * 3, "puta " * 2, "支配" * 2, "“quoted” — and 🙂 so on", "plain words"]
    assert word_lists.may_be_explicit(Batch(texts), 3) == [0, 2]


def test_files_of_terms_are_read_a_term_a_line(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("# ours\r\nred ball\r\n\r\ncat\r\n", encoding="utf-8-sig")
    assert word_lists.read_terms([path]) == ["red ball", "cat"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"# nothing\n", "no term"), (b"caf\xe9", "UTF-8"), (None, "No such file")]
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "terms.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        word_lists.read_terms([path])


def test_placeholders_are_no_explicit_terms() -> None:
    batch = Batch(["Converts a mask from /xx format to xxx.xxx.xxx.xxx"])
    assert explicit_terms(batch, ["en"]).counts_D.tolist() == [0]
