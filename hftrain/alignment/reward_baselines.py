"""What a reward model has to beat: the length of the answers, and a bag of their words."""

from collections.abc import Sequence

import numpy
import torch
from scipy.sparse import vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

INVERSE_PENALTY = 10.0
"""scikit-learn's C; from 1 to 100 the held-out accuracy changes by less than its error."""
RESAMPLES = 2000

Pairs = tuple[Sequence[str], Sequence[str]]
"""The texts of the chosen and of the rejected answers."""


def length_margins(lengths: tuple[Sequence[int], Sequence[int]], train: tuple[Sequence[int], Sequence[int]]) -> Tensor:
    """Margins of the rule "the longer wins", or "the shorter wins" where that is right more often in training.

    Args:
        lengths: Of the chosen and of the rejected answers of the pairs to decide.
        train: The same of the training pairs.

    Returns:
        Shape (B,), B pairs to decide; 0 where the lengths are equal.
    """
    longer_wins = sum((chosen > rejected) - (chosen < rejected) for chosen, rejected in zip(*train, strict=True))
    sign = 1.0 if longer_wins >= 0 else -1.0
    return sign * (torch.tensor(lengths[0], dtype=torch.float64) - torch.tensor(lengths[1], dtype=torch.float64))


def bag_of_words_margins(pairs: Pairs, train: Pairs) -> Tensor:
    """Margins by logistic regression on the difference of two answers' TF-IDF vectors, learned on the training pairs.

    Each pair is shown in both orders and there is no intercept, so that only the words can decide.

    Returns:
        Shape (B,), B pairs to decide; all 0 where the training answers have no words.
    """
    if not any(text.strip() for side in train for text in side):
        return torch.zeros(len(pairs[0]), dtype=torch.float64)
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]").fit([*train[0], *train[1]])
    differences = words.transform(train[0]) - words.transform(train[1])
    wins = numpy.repeat([1, 0], differences.shape[0])
    model = LogisticRegression(C=INVERSE_PENALTY, fit_intercept=False, max_iter=2000)
    model.fit(vstack([differences, -differences]), wins)
    margins = (words.transform(pairs[0]) - words.transform(pairs[1])) @ model.coef_[0]
    # What is 0 but for rounding is a tie: the two answers have the same words.
    return torch.from_numpy(numpy.where(numpy.abs(margins) < 1e-12, 0.0, margins))


def hits(margins_B: Tensor) -> Tensor:
    """1 where the chosen answer wins, 0 where it loses, 1/2 for a tie. Shape (B,), as the margins."""
    return (margins_B > 0).double() + 0.5 * (margins_B == 0)


def paired_interval(differences_B: Tensor, prompts: Sequence[str]) -> tuple[float, float]:
    """The 95 % interval of a mean difference between two models' hits on the same pairs.

    Whole prompts are drawn with replacement, since the pairs of a prompt are not independent of each other; the
    ends are percentiles of the means. The draws are the same each time.

    Args:
        differences_B: Hits of the one minus hits of the other, pair by pair. Shape (B,).
        prompts: The prompt of each pair.

    Source: Efron 1979, doi:10.1214/aos/1176344552.
    """
    place_of = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    places_B = numpy.array([place_of[prompt] for prompt in prompts])
    sums_P = numpy.bincount(places_B, weights=differences_B.double().numpy(), minlength=len(place_of))
    counts_P = numpy.bincount(places_B, minlength=len(place_of))
    drawn = numpy.random.default_rng(0).integers(0, len(place_of), (RESAMPLES, len(place_of)))
    means = sums_P[drawn].sum(1) / counts_P[drawn].sum(1)
    low, high = numpy.percentile(means, [2.5, 97.5])
    return float(low), float(high)
