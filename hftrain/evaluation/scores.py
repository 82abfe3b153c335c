"""Honest numbers: every score with its interval, its chance level and its count, and models compared on the same items.

A test leaves one row of numbers an item; a score is a function of their means (for an accuracy, the mean itself). So
the same rows give the score, its interval by bootstrap, and, beside another model's rows, a paired test.

Shape legend: N items, K columns, R resamples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Better = Literal["higher", "lower", "neither"]

RESAMPLES = 1000
DRAWN_AT_ONCE = 2**22
LEVEL = 0.95
NORMAL_QUANTILE = 1.959963984540054
"""Of a two-sided interval at `LEVEL`."""
SEEN_MARGIN = 0.1
"""A benchmark is large enough if it could tell a model this far above chance from a guess."""


def first_mean(means_RK: Floats) -> Floats:
    """The mean of the first column: shares, accuracies, mean scores."""
    return means_RK[:, 0]


@dataclass(frozen=True)
class Measured:
    """What one model gave, item by item, in one measure of one test."""

    test: str
    measure: str
    values_NK: Floats
    better: Better = "higher"
    chance: float | None = None
    """What guessing gives."""
    of: Callable[[Floats], Floats] = first_mean
    """From means, shape (R, K), to the score, shape (R,)."""
    items: str = ""
    """A digest of what was asked: models are compared where it is the same."""

    @property
    def is_share(self) -> bool:
        """Whether each item is right or wrong, and the score the share of right ones."""
        return self.of is first_mean and bool(numpy.isin(self.values_NK[:, 0], (0.0, 1.0)).all())

    @property
    def value(self) -> float:
        """The score over all items."""
        return float(self.of(self.values_NK.mean(axis=0, keepdims=True))[0])


@dataclass(frozen=True)
class Score:
    """A score as it is written down."""

    model: str
    test: str
    measure: str
    value: float
    low: float
    high: float
    chance: float | None
    count: int
    better: Better
    says: bool
    """Whether the interval leaves chance out, and the items are as many as `needed_items` asks."""

    def row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measured(test: str, measure: str, values: Sequence[float] | Floats, **more: Any) -> Measured:
    """A measure of one number an item."""
    return Measured(test, measure, numpy.asarray(values, float).reshape(len(values), -1), **more)


def score_of(model: str, made: Measured, *, seed: int) -> Score:
    """The score with its interval."""
    low, high = interval(made, seed=seed)
    count = len(made.values_NK)
    excludes = made.chance is None or not low <= made.chance <= high
    enough = made.chance is None or count >= needed_items(made.chance)
    return Score(
        model, made.test, made.measure, made.value, low, high, made.chance, count, made.better, excludes and enough
    )


def interval(made: Measured, *, seed: int) -> tuple[float, float]:
    """The 95% percentile interval of the score over items drawn anew (Efron 1979).

    Where all items are right, or all wrong, resampling sees no doubt; the exact bound of a share is given then:
    1 - 0.025^(1/N) from the edge (Clopper and Pearson 1934, doi:10.2307/2331986).
    """
    if made.is_share and made.value in (0.0, 1.0):
        reach = 1 - ((1 - LEVEL) / 2) ** (1 / len(made.values_NK))
        return (0.0, reach) if made.value == 0.0 else (1 - reach, 1.0)
    found = made.of(resampled_means(made.values_NK, seed=seed))
    low, high = numpy.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def resampled_means(values_NK: Floats, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Means over N items drawn with replacement. Shape (R, K).

    Of items that are alike (right or wrong) only their number is drawn, which is the same distribution.
    """
    generator = numpy.random.default_rng(seed)
    count = len(values_NK)
    rows_UK, of_each_U = numpy.unique(values_NK, axis=0, return_counts=True)
    if len(rows_UK) * 4 <= count:
        return generator.multinomial(count, of_each_U / count, resamples) @ rows_UK / count
    means = numpy.empty((resamples, values_NK.shape[1]))
    at_once = max(1, DRAWN_AT_ONCE // count)
    for first in range(0, resamples, at_once):
        size = min(at_once, resamples - first)
        drawn = generator.integers(0, count, (size, count)) + numpy.arange(size)[:, None] * count
        times = numpy.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        means[first : first + size] = times @ values_NK / count
    return means


def needed_items(chance: float, margin: float = SEEN_MARGIN) -> int:
    """Below so many items, a model that is ``margin`` better than chance could not be told from it.

    N = z^2 c (1 - c) / margin^2 with z = 1.96 and c the chance level, at least ``margin`` itself (chance 0).
    """
    level = min(max(chance, margin), 1 - margin)
    return math.ceil(NORMAL_QUANTILE**2 * level * (1 - level) / margin**2)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same items."""

    test: str
    measure: str
    model: str
    against: str
    difference: float
    low: float
    high: float
    p_value: float
    """Probability of a difference at least as large if there were none."""
    method: str
    count: int

    def row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(model: str, made: Measured, against: str, other: Measured, *, seed: int) -> Comparison:
    """The difference of two models' scores on the same items, its interval, and a paired test.

    Of right and wrong the test is McNemar's exact one, otherwise the paired bootstrap: twice the smaller share of
    resamples on either side of no difference.

    Raises:
        ValueError: The two did not answer the same items.
    """
    if not are_paired(made, other):
        raise ValueError(f"{made.test}: {made.values_NK.shape} values beside {other.values_NK.shape} of other items")
    columns = made.values_NK.shape[1]
    means = resampled_means(numpy.concatenate([made.values_NK, other.values_NK], axis=1), seed=seed)
    differences = made.of(means[:, :columns]) - other.of(means[:, columns:])
    low, high = numpy.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if made.is_share and other.is_share:
        ours, theirs = made.values_NK[:, 0] > 0, other.values_NK[:, 0] > 0
        p_value = mcnemar(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()))
        method = "McNemar, exact"
    else:
        sides = ((differences <= 0).sum(), (differences >= 0).sum())
        p_value = min(1.0, 2 * (1 + int(min(sides))) / (1 + len(differences)))
        method = "paired bootstrap"
    return Comparison(
        made.test,
        made.measure,
        model,
        against,
        made.value - other.value,
        float(low),
        float(high),
        p_value,
        method,
        len(made.values_NK),
    )


def are_paired(made: Measured, other: Measured) -> bool:
    """Whether two models answered the same items in one order."""
    return made.values_NK.shape == other.values_NK.shape and made.items == other.items


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of two models that are equally good, from the items that one alone has right.

    p = min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2). Source: McNemar 1947, doi:10.1007/BF02295996.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def centred(accuracy: float, chance: float) -> float:
    """0 for guessing, 1 for all right: (accuracy - chance) / (1 - chance), the CORE of DCLM (arXiv:2406.11794)."""
    return (accuracy - chance) / (1 - chance)
