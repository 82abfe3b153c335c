import math

import numpy
import pytest

from hftrain.evaluation import measures


def test_perplexity_is_exp_of_the_mean_surprise() -> None:
    means = numpy.array([[-math.log(8)]])

    assert measures.perplexity_of_means(means)[0] == pytest.approx(8)


def test_nats_per_token_needs_a_token() -> None:
    assert measures.nats_per_token([6.0, 2.0], [3, 1]) == 2.0
    with pytest.raises(ValueError, match="0 tokens"):
        measures.nats_per_token([], [])


def test_a_tie_of_rewards_counts_half() -> None:
    assert measures.reward_accuracy([2, 1, 0, 3], [1, 1, 1, 0]) == 0.625
    with pytest.raises(ValueError, match="1 chosen and 0 rejected"):
        measures.reward_accuracy([1.0], [])


def test_calibration_error_by_hand() -> None:
    # bin (0.5, 0.6]: confidence 0.55, half right, off by 0.05; bin (0.9, 1]: 0.95, all right, off by 0.05
    found = measures.expected_calibration_error([0.55, 0.55, 0.95, 0.95], [1, 0, 1, 1])

    assert found == pytest.approx(0.05)
    assert measures.expected_calibration_error([1.0, 1.0], [0, 0]) == 1.0
    assert measures.expected_calibration_error([0.0], [0]) == 0.0


def test_columns_of_a_bin_may_cancel_and_bins_may_not() -> None:
    columns = measures.calibration_columns([0.6, 0.55, 0.2], [1, 0, 1], bins=10)

    assert columns[:, 5] == pytest.approx([-0.4, 0.55, 0])  # a bin holds its upper edge
    assert columns[2, 1] == pytest.approx(-0.8)


def test_pass_at_k_by_hand() -> None:
    assert measures.pass_at_k(4, 1, 1) == 0.25
    assert measures.pass_at_k(4, 1, 2) == 0.5  # 1 - C(3,2)/C(4,2)
    assert measures.pass_at_k(3, 3, 2) == 1.0
    with pytest.raises(ValueError, match="k 5"):
        measures.pass_at_k(4, 1, 5)
