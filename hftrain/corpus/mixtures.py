"""How often each document stands in the training split, so that the sources have the shares that were asked for."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy
from numpy.typing import NDArray

from hftrain.corpus.settings import MixtureSettings, ShareSettings


def group_of(source: str, patterns: Sequence[str]) -> str | None:
    """The first pattern that a source's name fits; None if it fits none."""
    return next((pattern for pattern in patterns if fnmatchcase(source, pattern)), None)


def shares(available: Mapping[str, float], settings: MixtureSettings) -> dict[str, float]:
    """Tokens of each group of sources in the mixture.

    With ``total_tokens`` T, a group of weight w gets T * w / sum of weights, but never more than ``maximum_tokens`` nor
    than ``maximum_epochs`` times what it has; what one group cannot use goes to the others by their weights. Without,
    T is the largest number for which no group would need more than that.

    Args:
        available: Group (a key of ``settings.sources``) -> tokens that it has.
        settings: Weights and limits.
    """
    limits = {name: _limit(available.get(name, 0.0), share) for name, share in settings.sources.items()}
    weights = {name: share.weight for name, share in settings.sources.items() if share.weight > 0 and limits[name] > 0}
    found = dict.fromkeys(settings.sources, 0.0)
    if settings.total_tokens is None:
        scale = min((limits[name] / weight for name, weight in weights.items()), default=0.0)
        return found | {name: weight * scale for name, weight in weights.items()}
    left = float(settings.total_tokens)
    while weights:
        scale = left / sum(weights.values())
        full = [name for name, weight in weights.items() if weight * scale >= limits[name]]
        if not full:
            return found | {name: weight * scale for name, weight in weights.items()}
        for name in full:
            found[name] = limits[name]
            left -= limits[name]
            del weights[name]
    return found


def copies(sizes_N: NDArray[numpy.float64], order_N: NDArray[numpy.uint64], wanted: float) -> NDArray[numpy.int64]:
    """How often each of a group's documents is taken to come to ``wanted`` tokens, and not above it.

    Whole passes over all documents first; then those with the smallest numbers in ``order_N``, as many as fit.

    Args:
        sizes_N: Tokens of each document. Shape (N,).
        order_N: A number for each document that does not depend on the others, such as its digest.
        wanted: Tokens.
    """
    total = float(sizes_N.sum())
    if total <= 0:
        return numpy.zeros(len(sizes_N), numpy.int64)
    passes = math.floor(wanted / total + 1e-9)
    taken = numpy.full(len(sizes_N), passes, numpy.int64)
    places = numpy.argsort(order_N, kind="stable")
    fits = numpy.cumsum(sizes_N[places]) <= wanted - passes * total + 1e-6
    taken[places[fits]] += 1
    return taken


def _limit(available: float, share: ShareSettings) -> float:
    by_epochs = available * share.maximum_epochs
    return by_epochs if share.maximum_tokens is None else min(by_epochs, float(share.maximum_tokens))
