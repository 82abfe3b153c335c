"""The formulas of the measures, as plain functions; `metrics` has them as modules of ``evaluate``.

Shape legend: N items, B bins, R resamples, K columns.
"""

import math
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]

CALIBRATION_BINS = 10


def softmax(values: Floats) -> Floats:
    """exp(x) over the sum of exp(x). Shape (C,)."""
    powers = numpy.exp(values - values.max())
    return numpy.asarray(powers / powers.sum())


def perplexity_of_means(means_RK: Floats) -> Floats:
    """exp(-mean of log-probabilities), each item's words as one: 1 is certain. Jelinek et al. 1977."""
    return numpy.asarray(numpy.exp(-means_RK[:, 0]))


def ratio_of_means(means_RK: Floats) -> Floats:
    """The first column by the second: bits by bytes, nats by tokens, each summed over the items."""
    return numpy.asarray(means_RK[:, 0] / means_RK[:, 1])


def nats_per_token(nats: Sequence[float], tokens: Sequence[int]) -> float:
    """Mean surprise at a token: the sum of -log p over the sum of tokens; 0 is certain.

    Raises:
        ValueError: There are no tokens.
    """
    if sum(tokens) <= 0:
        raise ValueError(f"nats_per_token: {sum(tokens)} tokens; at least one is needed")
    return math.fsum(nats) / sum(tokens)


def reward_accuracy(chosen: Sequence[float], rejected: Sequence[float]) -> float:
    """Share of pairs in which the chosen answer scores higher; a tie counts half. 0 to 1; guessing gives 0.5.

    Source: Stiennon et al. 2020, arXiv:2009.01325; the tie rule is ours, so that a constant model scores 0.5.

    Raises:
        ValueError: The two differ in length, or are empty.
    """
    if len(chosen) != len(rejected) or not len(chosen):
        raise ValueError(f"reward_accuracy: {len(chosen)} chosen and {len(rejected)} rejected scores")
    return sum((a > b) + (a == b) / 2 for a, b in zip(chosen, rejected, strict=True)) / len(chosen)


def expected_calibration_error(
    confidences: Sequence[float], correct: Sequence[float], bins: int = CALIBRATION_BINS
) -> float:
    """How far a model's confidence is from its accuracy, over bins of like confidence: 0 is calibrated, 1 the worst.

    ECE = sum over bins of n_b / N * |mean confidence - share correct|. Source: Guo et al. 2017, arXiv:1706.04599.

    Raises:
        ValueError: The two differ in length, or are empty.
    """
    if len(confidences) != len(correct) or not len(confidences):
        raise ValueError(f"expected_calibration_error: {len(confidences)} confidences, {len(correct)} outcomes")
    means = calibration_columns(confidences, correct, bins).mean(axis=0, keepdims=True)
    return float(calibration_error_of_means(means)[0])


def calibration_columns(confidences: Sequence[float], correct: Sequence[float], bins: int = CALIBRATION_BINS) -> Floats:
    """Confidence less outcome, in the column of the item's bin; shape (N, B). Their means' absolutes add up to ECE."""
    sure = numpy.asarray(confidences, float)
    columns = numpy.zeros((len(sure), bins))
    # A bin holds its upper edge, the first one 0 too.
    places = numpy.clip(numpy.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    columns[numpy.arange(len(sure)), places] = sure - numpy.asarray(correct, float)
    return columns


def calibration_error_of_means(means_RB: Floats) -> Floats:
    """Sum of the absolute means. Shape (R,)."""
    return numpy.asarray(numpy.abs(means_RB).sum(axis=1))


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Chance that at least one of k programs, drawn from those written, passes: 0 to 1.

    pass@k = 1 - C(n - c, k) / C(n, k). Source: Chen et al. 2021, arXiv:2107.03374.

    Raises:
        ValueError: k is not within 1 to the number of samples, or more passed than there are.
    """
    if not 1 <= k <= samples or not 0 <= passed <= samples:
        raise ValueError(f"pass_at_k: {samples} samples, {passed} passed, k {k}; 1 <= k <= samples is needed")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def bias_in_disambiguated(means_RK: Floats) -> Floats:
    """2 * biased answers / answers that name someone - 1: -1 to 1, 0 is no bias (Parrish et al. 2022, page 6)."""
    named = means_RK[:, 2]
    return numpy.where(named > 0, 2 * means_RK[:, 1] / numpy.where(named > 0, named, 1) - 1, 0.0)


def bias_in_ambiguous(means_RK: Floats) -> Floats:
    """The same times the share of wrong answers: -1 to 1."""
    return (1 - means_RK[:, 0]) * bias_in_disambiguated(means_RK)


def largest_gap(means_RK: Floats) -> Floats:
    """The highest less the lowest of the groups' means."""
    half = means_RK.shape[1] // 2
    counts = means_RK[:, half:]
    means = numpy.where(counts > 0, means_RK[:, :half] / numpy.where(counts > 0, counts, 1), numpy.nan)
    return numpy.asarray(numpy.nanmax(means, axis=1) - numpy.nanmin(means, axis=1))
