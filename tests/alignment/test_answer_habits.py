import pytest

from hftrain.alignment.answer_habits import answer_habits, distinct_share, repeated_share, same_answer_share


def test_two_different_words_among_four_are_a_half() -> None:
    assert distinct_share(["ab", "ab"], 1) == 0.5
    assert distinct_share(["ab", "ab"], 2) == 0.5
    assert distinct_share(["ab", "ba"], 2) == 1.0


def test_pairs_do_not_reach_from_one_answer_into_the_next() -> None:
    """ab, bc and ca: the c a of the border is not among them."""
    assert distinct_share(["abc", "ab"], 2) == pytest.approx(2 / 3)


def test_a_run_that_comes_twice_in_one_answer_is_repeated_once() -> None:
    """abcdabcd has five runs of four; the last is the first again. Another answer may say the same."""
    assert repeated_share(["abcdabcd"]) == pytest.approx(1 / 5)
    assert repeated_share(["abcd", "abcd"]) == 0
    assert repeated_share(["aaaaaaa"]) == pytest.approx(3 / 4)


def test_answers_too_short_to_repeat_count_as_none() -> None:
    assert repeated_share(["abc", ""]) == 0
    assert distinct_share(["a", ""], 2) == 0


def test_the_commonest_answer_has_its_share() -> None:
    assert same_answer_share([[1, 2], [1, 2], [1, 2, 3], [2]]) == 0.5
    assert same_answer_share([]) == 0


def test_the_numbers_bear_the_fields_names() -> None:
    assert set(answer_habits([[1]])) == {"distinct_1", "distinct_2", "repetition", "same_answer_share"}
