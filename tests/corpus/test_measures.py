import math

import numpy
import pytest

from hftrain.corpus.batches import Batch
from hftrain.corpus.measures import NAMES, WORD_CLASSES, measures


def measured(text: str) -> dict[str, float]:
    return dict(zip(NAMES, measures(Batch(["another text", text, ""]))[1].tolist(), strict=True))


PROSE = "The cat, who was old, sat on the mat and looked at the red ball for an hour."  # 18 words
PAGE = f"Home\n  \n{PROSE} \nHome\nread more"  # 4 lines that are not empty; 22 words


def test_lines_are_counted_without_white_space_around_them() -> None:
    found = measured(PAGE)
    assert found["log_prose_words"] == pytest.approx(math.log1p(18))
    assert found["log_longest_line_words"] == pytest.approx(math.log1p(18))
    assert found["prose_share"] == pytest.approx(18 / 22)
    assert found["log_mean_line_words"] == pytest.approx(math.log1p(22 / 4))
    assert found["short_line_share"] == 3 / 4
    assert found["ended_line_share"] == 1 / 4
    assert found["lower_start_share"] == 1 / 4
    assert found["repeated_line_share"] == 1 / 4
    assert found["ends_like_a_sentence"] == 0


@pytest.mark.parametrize(
    ("text", "ends"), [("So.", 1), ("So?\n\n", 1), ("“So!”", 1), ("(so.)", 1), ("so", 0), ("(so)", 0)]
)
def test_a_text_ends_like_a_sentence_or_not(text: str, ends: int) -> None:
    assert measured(text)["ends_like_a_sentence"] == ends


def test_characters_are_shares_of_what_is_visible() -> None:
    found = measured("Ab, 12!\n$ x|")  # visible: A b , 1 2 ! $ x |
    assert found["capital_share"] == pytest.approx(1 / 3)
    assert found["digits_share"] == pytest.approx(2 / 9)
    assert found["commas_share"] == found["exclamation_marks_share"] == found["currency_share"] == pytest.approx(1 / 9)
    assert found["signs_share"] == pytest.approx(1 / 9)


def test_words_are_counted_by_class_in_any_case() -> None:
    found = measured("You said: CLICK here to buy it")
    assert found["second_person_share"] == found["reporting_share"] == found["site_words_share"] == pytest.approx(1 / 7)
    assert found["commerce_share"] == pytest.approx(1 / 7)
    assert found["function_words_share"] == pytest.approx(2 / 7)  # to, it
    assert found["mean_word_chars"] == pytest.approx(23 / 7)


def test_repetition_is_told_whatever_the_length() -> None:
    same = measured("spam " * 100)
    assert same["distinct_words"] == 0
    assert same["distinct_triples"] == 0
    assert measured("one two three four five")["distinct_words"] == 1
    assert measured("a b a b")["distinct_words"] == pytest.approx(math.log(2) / math.log(4))


def test_a_word_may_be_of_two_classes_and_no_class_repeats_a_word() -> None:
    for name, listed in WORD_CLASSES.items():
        assert len(set(listed.split())) == len(listed.split()), name


def test_every_number_is_finite_and_neighbours_do_not_change_it() -> None:
    texts = ["", "\n", "a", "...", PROSE, PAGE, "東京 " * 30, "x" * 5000]
    together = measures(Batch(texts))
    assert numpy.isfinite(together).all()
    assert (together == numpy.concatenate([measures(Batch([text])) for text in texts])).all()
    assert measures(Batch([])).shape == (0, len(NAMES))
