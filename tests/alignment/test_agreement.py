"""Agreement, against published worked examples and cases that can be counted by hand."""

import random

import pytest

from hftrain.alignment.agreement import competition_ranks, krippendorff_alpha, mid_ranks, rank_agreement


def units_of(*raters: str) -> list[list[float]]:
    """The ratings of each unit from one text a rater, ``*`` for none."""
    rows = [row.split() for row in raters]
    return [[float(value) for value in column if value != "*"] for column in zip(*rows, strict=True)]


FOUR_OBSERVERS = units_of(  # Krippendorff 2011, section D: 12 units, 7 ratings missing
    "1 2 3 3 2 1 4 1 2 * * *",
    "1 2 3 3 2 2 4 1 2 5 * 3",
    "* 3 3 3 2 3 4 2 2 5 1 *",
    "1 2 3 3 2 4 4 1 2 5 1 *",
)
THREE_CODERS = units_of(  # https://en.wikipedia.org/wiki/Krippendorff%27s_alpha, 15 units
    "* * * * * 3 4 1 2 1 1 3 3 * 3",
    "1 * 2 1 3 3 4 3 * * * * * * *",
    "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_example_with_missing_data(level: str, published: float) -> None:
    assert krippendorff_alpha(FOUR_OBSERVERS, level=level) == pytest.approx(published, abs=0.0006)  # type: ignore[arg-type]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.691), ("interval", 0.811)])
def test_the_example_of_three_coders(level: str, published: float) -> None:
    assert krippendorff_alpha(THREE_CODERS, level=level) == pytest.approx(published, abs=0.0006)  # type: ignore[arg-type]


def test_two_observers_and_two_values() -> None:
    units = units_of("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")  # Krippendorff 2011, section A: 0.095
    assert krippendorff_alpha(units, level="nominal") == pytest.approx(0.095, abs=0.0006)
    assert krippendorff_alpha(units) == pytest.approx(krippendorff_alpha(units, level="nominal"))


def test_one_rating_a_unit_and_one_value_in_all_define_no_alpha() -> None:
    assert krippendorff_alpha([[1], [2], []]) is None
    assert krippendorff_alpha([[2, 2], [2, 2]]) is None
    assert rank_agreement({}).alpha is None
    assert rank_agreement({"p": [[1, 2]]}).shared_groups == 0
    assert rank_agreement({"p": [[1, 1], [1, 1]]}).alpha is None


def test_opposite_rankings_of_two_answers_are_below_chance() -> None:
    # Values 0 and 1, four pairs that differ: o_01 = o_10 = 2, n = 4, so D_o = 1, D_e = 2*2*2 / (4*3) = 2/3.
    assert rank_agreement({"p": [[1, 2], [2, 1]]}).alpha == pytest.approx(1 - 1 / (2 / 3))


def test_raters_who_agree_have_one_and_those_who_guess_none() -> None:
    same = {prompt: [[1, 2, 3, 4]] * 3 for prompt in range(10)}
    found = rank_agreement(same)
    assert (found.alpha, found.interval, found.shared_groups, found.pairable_ratings) == (1.0, (1.0, 1.0), 10, 120)

    dice = random.Random(0)
    guesses = {prompt: [dice.sample([1, 2, 3, 4], 4) for _ in range(3)] for prompt in range(200)}
    found = rank_agreement(guesses)
    assert found.alpha is not None and found.interval is not None
    assert abs(found.alpha) < 0.06
    assert found.interval[0] < found.alpha < found.interval[1]
    assert 0.02 < found.interval[1] - found.interval[0] < 0.2


def test_prompts_of_one_rater_change_nothing_and_the_same_seed_gives_the_same_interval() -> None:
    both = {"a": [[1, 2, 3], [1, 3, 2]], "b": [[1, 2], [1, 2]], "c": [[2, 1, 2], [1, 2, 3]]}
    more = {**both, "d": [[1, 2, 3, 4]]}
    assert rank_agreement(both) == rank_agreement(more)

    dice = random.Random(2)
    many = {prompt: [dice.sample([1, 2, 3, 4], 4) for _ in range(3)] for prompt in range(30)}
    assert rank_agreement(many).interval == rank_agreement(many).interval != rank_agreement(many, seed=1).interval


def test_the_interval_covers_the_alpha_of_many_prompts_about_as_often_as_it_says() -> None:
    dice = random.Random(1)

    def ranks() -> list[list[int]]:
        return [competition_ranks([answer + dice.gauss(0, 1.5) for answer in range(4)]) for _ in range(2)]

    truth = rank_agreement({prompt: ranks() for prompt in range(8000)}, resamples=1).alpha
    assert truth is not None
    covered = 0
    for _ in range(60):
        interval = rank_agreement({prompt: ranks() for prompt in range(60)}, resamples=200).interval
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert covered >= 51  # 0.95 of 60 is 57; below 51 has a chance of 1 in 250


def test_ties_share_a_rank() -> None:
    assert competition_ranks([2, 1, 2, 5]) == [2, 1, 2, 4]
    assert mid_ranks([2, 1, 2, 5]) == [2.5, 1, 2.5, 4]
