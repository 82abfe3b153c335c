"""How far raters agree: Krippendorff's alpha, with gaps, and its interval."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["nominal", "ordinal", "interval"]
Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha: 1 where raters agree in all, 0 where they agree as chance would, below 0 where less."""

    alpha: float | None
    """None where it is not defined: nothing was rated twice, or all ratings are one value."""
    interval: tuple[float, float] | None
    """95 %, from groups drawn with replacement; None below two groups that two raters share."""
    shared_groups: int
    """Groups in which some unit has two ratings or more."""
    pairable_ratings: int
    """Ratings of units that have another rating."""


def krippendorff_alpha(units: Sequence[Sequence[float]], *, level: Level = "ordinal") -> float | None:
    """Krippendorff's alpha of the ratings of units; a rating that is missing is left out of its unit.

    alpha = 1 - D_o / D_e, the observed and the expected disagreement over the coincidences o of values c and k,

        D_o = sum_ck o_ck d_ck / n,    D_e = sum_ck n_c n_k d_ck / (n (n - 1)),

    d 0 or 1 (nominal), (c - k)^2 (interval), or (n_c / 2 + the n_g between + n_k / 2)^2 (ordinal).

    Args:
        units: The ratings that each unit got, in any order; a unit with fewer than two says nothing.
        level: What the values mean.

    Returns:
        Alpha, or None where no unit has two ratings, or all of them are one value.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability,
        https://repository.upenn.edu/asc_papers/43.
    """
    values = sorted({value for unit in units if len(unit) > 1 for value in unit})
    return _alpha(_coincidences(units, values), np.array(values, dtype=np.float64), level)


def rank_agreement(
    rankings: Mapping[Hashable, Sequence[Sequence[int]]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Agreement:
    """How far raters agree who ranked the answers to prompts.

    A unit is one answer, a rating its place among the answers to its prompt, from 0 the best to 1 the worst, so
    that rankings of different length are on one scale; tied answers share the mean of their places. The interval
    draws whole prompts: the places within one depend on each other.

    Args:
        rankings: Prompt -> the ranks of its answers (1 = best) by each of its raters, all of one length.
        resamples: How many times the prompts are drawn again.
        seed: Of those draws.

    Source: the bootstrap over units of Hayes and Krippendorff 2007, doi 10.1080/19312450709336664; drawing
        prompts in place of single answers is ours.
    """
    groups = [
        list(zip(*(_places(ranks) for ranks in raters), strict=True))
        for raters in rankings.values()
        if len(raters) > 1 and len(raters[0]) > 1
    ]
    values = sorted({value for units in groups for unit in units for value in unit})
    if not values:
        return Agreement(None, None, 0, 0)
    counted = np.stack([_coincidences(units, values) for units in groups])
    scale = np.array(values, dtype=np.float64)
    alpha = _alpha(counted.sum(axis=0), scale, "ordinal")
    interval = _interval(counted, scale, resamples, seed) if alpha is not None and len(groups) > 1 else None
    return Agreement(alpha, interval, len(groups), sum(len(unit) for units in groups for unit in units))


def competition_ranks(keys: Sequence[float | Fraction]) -> list[int]:
    """Rank of each key, 1 the lowest; equal keys share the better rank: 2 1 2 5 -> 2 1 2 4."""
    return [1 + sum(other < key for other in keys) for key in keys]


def mid_ranks(keys: Sequence[float]) -> list[float]:
    """Rank of each key, 1 the lowest; equal keys share the mean of their ranks: 2 1 2 5 -> 2.5 1 2.5 4."""
    return [0.5 + sum((other < key) + (other == key) / 2 for other in keys) for key in keys]


def _places(ranks: Sequence[int]) -> list[float]:
    return [(rank - 1) / (len(ranks) - 1) for rank in mid_ranks(ranks)]


def _coincidences(units: Sequence[Sequence[float]], values: Sequence[float]) -> Floats:
    """Symmetric table of the pairs of values within units, each unit with the weight of its ratings.

    Shape (V, V): V values.
    """
    place = {value: index for index, value in enumerate(values)}
    table = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) < 2:
            continue
        found = np.zeros(len(values))
        for value in unit:
            found[place[value]] += 1
        table += (np.outer(found, found) - np.diag(found)) / (len(unit) - 1)
    return table


def _alpha(table: Floats, values: Floats, level: Level) -> float | None:
    totals = table.sum(axis=1)
    count = totals.sum()
    if count < 2:
        return None
    distances = DISTANCES[level](totals, values)
    expected = totals @ distances @ totals / (count - 1)
    if expected <= 0:
        return None
    return float(1 - (table * distances).sum() / expected)


def _ordinal(totals: Floats, values: Floats) -> Floats:
    middles = totals.cumsum() - totals / 2  # c to k: half of n_c, what lies between, half of n_k
    return (middles[:, None] - middles[None, :]) ** 2


DISTANCES: Mapping[Level, Callable[[Floats, Floats], Floats]] = {
    "nominal": lambda totals, values: 1 - np.eye(len(values)),
    "ordinal": _ordinal,
    "interval": lambda totals, values: (values[:, None] - values[None, :]) ** 2,
}


def _interval(counted: Floats, values: Floats, resamples: int, seed: int) -> tuple[float, float] | None:
    """The ends between which the middle 95 % of the resampled alphas lie.

    Args:
        counted: A table of coincidences for each group. Shape (G, V, V).
        values: The V values.
        resamples: How many alphas.
        seed: Of the draws.
    """
    draws = np.random.default_rng(seed)
    groups = len(counted)
    found = []
    for _ in range(resamples):
        times = np.bincount(draws.integers(groups, size=groups), minlength=groups)
        alpha = _alpha(np.tensordot(times.astype(np.float64), counted, axes=1), values, "ordinal")
        if alpha is not None:
            found.append(alpha)
    if not found:
        return None
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
