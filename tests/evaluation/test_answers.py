import pytest

from hftrain.evaluation.answers import is_match, until_first


@pytest.mark.parametrize(
    ("answer", "extract", "right"),
    [
        (" Onion ", "text", True),
        ("the onion!", "words", False),
        (" ONION.", "words", True),
        ("2+3=5\n#### 1,234.", "after_hashes", False),
        ("so it is\n#### 5", "after_hashes", False),
    ],
)
def test_words_are_compared_as_their_task_says(answer: str, extract: str, right: bool) -> None:
    assert is_match(answer, ["Onion"], extract) == right


@pytest.mark.parametrize(
    ("answer", "extract", "right"),
    [
        ("2+3=5\n#### 1,234", "after_hashes", True),
        ("It is $1,234. Yes.", "after_hashes", False),
        ("First 5, then $1,234.", "last_number", True),
        ("1234 or 5", "first_number", True),
        ("1234 or 5", "last_number", False),
        ("none", "last_number", False),
    ],
)
def test_numbers_are_found_and_stripped(answer: str, extract: str, right: bool) -> None:
    assert is_match(answer, ["1234"], extract) == right


def test_a_letter_stands_alone() -> None:
    assert is_match("The answer is (B).", ["B"], "letter")
    assert not is_match("Because", ["B"], "letter")


def test_a_text_ends_before_its_first_stop() -> None:
    assert until_first("one. two\nthree", ["\n", "."]) == "one"
