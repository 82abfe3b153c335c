"""Whether people ask other things than the model was trained on, with what chance alone would give."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

GRAM_CHARS = 3
DRAWS = 200
FEWEST_PROMPTS = 20
"""With fewer there is no telling."""

TELLING_WORDS = 8
WORD = re.compile(r"[\w'’-]+")

Counts = NDArray[numpy.float64]


@dataclass(frozen=True)
class Drift:
    """How far served prompts are from those of training.

    The distance is the Jensen-Shannon divergence in bits, 0 to 1, between the two distributions of character
    trigrams: JSD(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2. Few prompts are far from many by chance, so it is held
    against that of as many prompts drawn from training, `DRAWS` times.

    Source: Lin 1991, doi:10.1109/18.61115.
    """

    divergence_bits: float
    by_chance_low_bits: float
    by_chance_high_bits: float
    """The middle 95 % of what as many prompts of training give."""
    prompts: int
    training_prompts: int
    telling_words: tuple[str, ...]
    """The words that add most to it and are more frequent now."""

    @property
    def has_drifted(self) -> bool:
        """Whether it is above what chance gives."""
        return self.divergence_bits > self.by_chance_high_bits


def drift(served: Sequence[str], training: Sequence[str], *, seed: int = 0) -> Drift | None:
    """Compare served prompts with those of training; None where either are fewer than `FEWEST_PROMPTS`.

    Each prompt of training is used in the drawn sample or in what it is held against, never in both; what is served
    is held against as many as that.
    """
    if min(len(served), len(training) // 2) < FEWEST_PROMPTS:
        return None
    table = _Grams([*served, *training])
    first = len(served)
    size = min(first, len(training) // 2)
    dice = numpy.random.default_rng(seed)
    observed, chance = [], []
    for _ in range(DRAWS):
        order = dice.permutation(len(training)) + first
        rest = table.sum(order[size:])
        chance.append(divergence_bits(table.sum(order[:size]), rest))
        observed.append(divergence_bits(table.sum(dice.permutation(first)[:size]), rest))
    low, high = numpy.quantile(chance, (0.025, 0.975))
    return Drift(
        divergence_bits=float(numpy.mean(observed)),
        by_chance_low_bits=float(low),
        by_chance_high_bits=float(high),
        prompts=len(served),
        training_prompts=len(training),
        telling_words=_telling_words(served, training),
    )


def divergence_bits(first_G: Counts, second_G: Counts) -> float:
    """Jensen-Shannon divergence of two counts of the same G things; 0 where they are alike, 1 where they share none."""
    p_G, q_G = first_G / first_G.sum(), second_G / second_G.sum()
    return max(0.0, _entropy_bits((p_G + q_G) / 2) - (_entropy_bits(p_G) + _entropy_bits(q_G)) / 2)


def _entropy_bits(p_G: Counts) -> float:
    some = p_G[p_G > 0]
    return float(-(some * numpy.log2(some)).sum())


class _Grams:
    """The trigrams of each of N texts, as numbers one after the other."""

    def __init__(self, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        rows = [[numbers.setdefault(gram, len(numbers)) for gram in _grams(text)] for text in texts]
        self._ends = numpy.cumsum([0, *map(len, rows)])
        self._flat = numpy.fromiter((gram for row in rows for gram in row), numpy.int64, int(self._ends[-1]))
        self._kinds = len(numbers)

    def sum(self, rows_N: NDArray[numpy.int64]) -> Counts:
        """Counts of all trigrams in these texts. Shape (G,)."""
        taken = numpy.zeros(len(self._ends) - 1, bool)
        taken[rows_N] = True
        weights = numpy.repeat(taken, numpy.diff(self._ends))
        return numpy.bincount(self._flat, weights=weights, minlength=self._kinds).astype(numpy.float64)


def _grams(text: str) -> list[str]:
    plain = f" {' '.join(text.lower().split())} "
    return [plain[at : at + GRAM_CHARS] for at in range(max(1, len(plain) - GRAM_CHARS + 1))]


def _telling_words(served: Sequence[str], training: Sequence[str]) -> tuple[str, ...]:
    def shares(texts: Sequence[str]) -> dict[str, float]:
        words = Counter(word for text in texts for word in set(WORD.findall(text.lower())))
        return {word: count / len(texts) for word, count in words.items()}

    now, then = shares(served), shares(training)
    gains = {word: share - then.get(word, 0.0) for word, share in now.items()}
    found = sorted((word for word, gain in gains.items() if gain > 0), key=lambda word: (-gains[word], word))
    return tuple(found[:TELLING_WORDS])
