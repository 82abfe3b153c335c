"""Habits by which answers of a policy that has collapsed are known: it says few things, or one thing again and again.

An answer is any sequence of tokens or words; what the policy was asked does not count.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Answers = Sequence[Sequence[Hashable]]
Item = TypeVar("Item")

REPEATED_WORDS = 4
"""Length of the runs that count as repetition. Source: Welleck et al. 2020, arXiv:1908.04319 (seq-rep-4)."""


def distinct_share(answers: Answers, length: int) -> float:
    """Distinct-n: different n-grams among all n-grams of all answers together; 0 where there is none.

    It falls as more is said, whoever says it: compare like amounts of text.
    Source: Li et al. 2016, arXiv:1510.03055.
    """
    runs = [run for answer in answers for run in _runs(answer, length)]
    return len(set(runs)) / len(runs) if runs else 0.0


def repeated_share(answers: Answers, length: int = REPEATED_WORDS) -> float:
    """Share of n-grams that stood earlier in the same answer, over all answers; 0 where no answer is long enough."""
    counted = [_runs(answer, length) for answer in answers]
    total = sum(len(runs) for runs in counted)
    return 1 - sum(len(set(runs)) for runs in counted) / total if total else 0.0


def same_answer_share(answers: Answers) -> float:
    """Share of answers that are word for word the commonest one: near 1 the policy says one thing to all."""
    counts: dict[tuple[Hashable, ...], int] = {}
    for answer in answers:
        counts[tuple(answer)] = counts.get(tuple(answer), 0) + 1
    return max(counts.values()) / len(answers) if counts else 0.0


def answer_habits(answers: Answers) -> Mapping[str, float]:
    """``distinct_1``, ``distinct_2``, ``repetition`` and ``same_answer_share`` of a batch of answers."""
    return {
        "distinct_1": distinct_share(answers, 1),
        "distinct_2": distinct_share(answers, 2),
        "repetition": repeated_share(answers),
        "same_answer_share": same_answer_share(answers),
    }


def _runs(answer: Sequence[Item], length: int) -> list[tuple[Item, ...]]:
    return [tuple(answer[first : first + length]) for first in range(len(answer) - length + 1)]
