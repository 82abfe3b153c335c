import math

import pytest
import torch

from hftrain.alignment.calibration import TEMPERATURES, best_temperature, nats_per_pair, reliability


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_pairs_are_sorted_by_how_sure_the_model_is() -> None:
    # sure by 0.55 and wrong; by 0.85 twice, right and wrong; by 0.95 and right; undecided
    margins = torch.tensor([-logit(0.55), logit(0.85), -logit(0.85), logit(0.95), 0.0])
    found = reliability(margins)
    assert found.edges == pytest.approx((0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    assert found.pairs == (2, 0, 0, 2, 1)
    assert found.confidence == (pytest.approx(0.525), None, None, pytest.approx(0.85), pytest.approx(0.95))
    assert found.accuracy == (0.25, None, None, 0.5, 1.0)


def test_the_calibration_error_weighs_each_gap_by_its_pairs() -> None:
    margins = torch.tensor([logit(0.85), -logit(0.85), logit(0.95), logit(0.95)])
    assert reliability(margins).error == pytest.approx(0.5 * 0.35 + 0.5 * 0.05)


def test_a_model_that_is_as_sure_as_it_is_right_has_no_error_and_the_temperature_one() -> None:
    margins = torch.tensor([logit(0.8)] * 4 + [-logit(0.8)], dtype=torch.float64)
    assert reliability(margins).error == pytest.approx(0)
    assert best_temperature(margins) == pytest.approx(1.0, abs=1e-4)


def test_a_model_that_is_too_sure_by_three_has_the_temperature_three() -> None:
    margins = 3 * torch.tensor([logit(0.8)] * 4 + [-logit(0.8)], dtype=torch.float64)
    assert best_temperature(margins) == pytest.approx(3.0, abs=1e-3)
    assert nats_per_pair(margins, 3.0) < nats_per_pair(margins)


def test_where_all_is_right_or_all_is_wrong_the_temperature_is_at_its_bound() -> None:
    assert best_temperature(torch.ones(3)) == pytest.approx(TEMPERATURES[0], rel=1e-6)
    assert best_temperature(-torch.ones(3)) == pytest.approx(TEMPERATURES[1], rel=1e-6)


def test_a_model_that_knows_nothing_pays_the_log_of_two() -> None:
    assert nats_per_pair(torch.zeros(4)) == pytest.approx(math.log(2))
