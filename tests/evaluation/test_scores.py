import math

import numpy
import pytest

from hftrain.evaluation.scores import (
    Measured,
    centred,
    compare,
    interval,
    mcnemar,
    measured,
    needed_items,
    resampled_means,
    score_of,
)


def test_the_interval_of_a_share_is_about_two_standard_errors_wide() -> None:
    made = measured("t", "accuracy", [1.0] * 60 + [0.0] * 40)

    low, high = interval(made, seed=1)

    error = math.sqrt(0.6 * 0.4 / 100)
    assert low == pytest.approx(0.6 - 1.96 * error, abs=0.02)
    assert high == pytest.approx(0.6 + 1.96 * error, abs=0.02)


def test_all_right_is_not_certain() -> None:
    assert interval(measured("t", "accuracy", [1.0] * 20), seed=1) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert interval(measured("t", "accuracy", [0.0]), seed=1) == (0.0, pytest.approx(0.975))


def test_a_score_says_something_when_chance_is_outside_and_items_are_enough() -> None:
    many = measured("t", "accuracy", [1.0] * 160 + [0.0] * 40, chance=0.5)
    few = measured("t", "accuracy", [1.0] * 18 + [0.0] * 2, chance=0.5)
    guessing = measured("t", "accuracy", [1.0, 0.0] * 100, chance=0.5)

    assert [score_of("m", made, seed=0).says for made in (many, few, guessing)] == [True, False, False]


def test_the_size_below_which_a_benchmark_says_nothing() -> None:
    assert needed_items(0.5) == 97  # 1.96^2 * 0.25 / 0.01 = 96.04
    assert needed_items(0.25) == 73
    assert needed_items(0.0) == 35  # as if chance were the margin itself


def test_resampling_repeats_and_gives_what_the_mean_gives() -> None:
    values = numpy.arange(10.0).reshape(5, 2)

    first, second = (resampled_means(values, seed=3) for _ in range(2))

    assert (first == second).all() and first.shape == (1000, 2)
    assert first.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.2)


def test_a_score_may_be_a_function_of_means() -> None:
    rows = numpy.array([[2.0, 4.0], [4.0, 8.0]])
    made = Measured("t", "ratio", rows, "lower", of=lambda means: means[:, 0] / means[:, 1])

    assert (made.value, made.is_share) == (0.5, False)
    assert interval(made, seed=0) == (0.5, 0.5)


def test_mcnemar_counts_only_items_that_one_alone_has_right() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(3, 1) == pytest.approx(2 * (1 + 4) / 16)
    assert mcnemar(30, 30) == 1.0


def test_models_are_compared_on_the_same_items() -> None:
    better = measured("t", "accuracy", [1.0] * 10 + [0.0] * 10)
    worse = measured("t", "accuracy", [0.0] * 20)

    found = compare("b", better, "a", worse, seed=1)

    assert (found.difference, found.count, found.method) == (0.5, 20, "McNemar, exact")
    assert found.p_value == pytest.approx(2 / 2**10)
    assert 0.2 < found.low < 0.5 < found.high < 0.8


def test_of_graded_scores_the_paired_bootstrap_tells_what_unpaired_noise_would_hide() -> None:
    noise = numpy.random.default_rng(1).normal(0, 5, 50)
    found = compare("b", measured("t", "x", noise + 0.5), "a", measured("t", "x", noise), seed=1)

    assert found.method == "paired bootstrap" and found.p_value < 0.01
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))


def test_other_items_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2, 1"):
        compare("b", measured("t", "x", [1, 2]), "a", measured("t", "x", [1]), seed=1)


def test_centred_on_chance_a_guess_is_nothing() -> None:
    assert (centred(0.25, 0.25), centred(1.0, 0.5), centred(0.4, 0.5)) == (0.0, 1.0, pytest.approx(-0.2))
