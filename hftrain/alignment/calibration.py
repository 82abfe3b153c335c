"""Whether a reward model is as sure as it is right: reliability, calibration error, the temperature that would fit.

The model's word on a pair is sigmoid(m), m the margin between the two scores: its probability that the first is better.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

BINS = 5
"""Of confidence, from 1/2 to 1: a tenth each."""
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Reliability:
    """The pairs by how sure the model is of them; an empty bin has None for its means."""

    edges: tuple[float, ...]
    """One more than bins."""
    pairs: tuple[int, ...]
    confidence: tuple[float | None, ...]
    """Mean of max(sigmoid(m), 1 - sigmoid(m))."""
    accuracy: tuple[float | None, ...]
    """Share of the bin's pairs in which the model sides with the chosen answer; a margin of 0 counts half."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of |accuracy - confidence| over the bins, weighed by their pairs.

        Source: Naeini et al. 2015, AAAI 29.
        """
        gaps = (
            count * abs(right - sure)
            for count, right, sure in zip(self.pairs, self.accuracy, self.confidence, strict=True)
            if right is not None and sure is not None
        )
        return sum(gaps) / sum(self.pairs)


def reliability(margins_B: Tensor, bins: int = BINS) -> Reliability:
    """Sort pairs into bins of like confidence.

    Args:
        margins_B: Score of the chosen minus score of the rejected answer. Shape (B,), B pairs, one at least.
        bins: Of one width, from 1/2 to 1.
    """
    margins_B = margins_B.double()
    sure_B = torch.sigmoid(margins_B.abs())
    right_B = (margins_B > 0).double() + 0.5 * (margins_B == 0)
    edges = torch.linspace(0.5, 1.0, bins + 1, dtype=torch.float64)
    places_B = torch.bucketize(sure_B, edges[1:-1], right=True)
    inside = [places_B == place for place in range(bins)]
    return Reliability(
        tuple(edges.tolist()),
        tuple(int(chosen.sum()) for chosen in inside),
        tuple(sure_B[chosen].mean().item() if chosen.any() else None for chosen in inside),
        tuple(right_B[chosen].mean().item() if chosen.any() else None for chosen in inside),
    )


def nats_per_pair(margins_B: Tensor, temperature: float = 1.0) -> float:
    """Mean of -log sigmoid(m / T): ln 2, 0.693, for a model that knows nothing."""
    return softplus(-margins_B.double() / temperature).mean().item()


def best_temperature(margins_B: Tensor) -> float:
    """The T within `TEMPERATURES` at which sigmoid(m / T) fits these pairs best; above 1 the model is too sure.

    At the low bound all pairs are right, at the high bound there is nothing to be sure of.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    # The loss is convex in 1 / T, so it has one valley in log T too.
    low, high = (math.log(each) for each in TEMPERATURES)
    return math.exp(_lowest(lambda log_t: nats_per_pair(margins_B, math.exp(log_t)), low, high))


def _lowest(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest, by golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if value(left) <= value(right) else (left, high)
    return (low + high) / 2
