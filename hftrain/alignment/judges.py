"""Automatic judges: declared rules that score one answer, best is highest.

A judge is a pure function of an answer, the answers that people gave to the same prompt, and its own
options; the same answer always gets the same score. Scores lie between 0 and 1.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """One answer as a judge sees it."""

    text: str
    ended: bool
    """Whether the model closed the turn itself, or ran out of tokens."""
    references: tuple[str, ...] = ()
    """What the corpus answers to the same prompt; empty if nothing is known."""


Judge = Callable[..., float]


def concise(candidate: Candidate, *, target_words: int = 6) -> float:
    """Prefer an answer of about ``target_words`` words that ends by itself and does not repeat itself.

    score = length * freshness * finish, and 0 for an empty answer, where for w words

    - length = min(w, t) / max(w, t), t the target: 1 at the target, 1/2 at half of it and at twice it;
    - freshness = distinct / all word bigrams, in lower case; 1 below two bigrams;
    - finish = 1 if the answer ended by itself, else 1/2.

    The parts multiply, so that none can be bought with another: the target length reached by one word said
    over and over scores almost 0. No words and one word are far from the best score by design.
    """
    words = candidate.text.lower().split()
    if not words:
        return 0.0
    length = min(len(words), target_words) / max(len(words), target_words)
    bigrams = list(zip(words, words[1:], strict=False))
    freshness = len(set(bigrams)) / len(bigrams) if bigrams else 1.0
    return length * freshness * (1.0 if candidate.ended else 0.5)


def reference(candidate: Candidate, *, order: int = 6, beta: float = 1.0) -> float:
    """Prefer an answer that shares its characters with a reference answer: the best `chrf` over the references."""
    scores = (chrf(candidate.text, text, order=order, beta=beta) for text in candidate.references)
    return max(scores, default=0.0)


def chrf(text: str, reference_text: str, *, order: int = 6, beta: float = 1.0) -> float:
    """Character n-gram F-score of ``text`` against a reference, white space left out.

    chrF = (1 + beta^2) P R / (beta^2 P + R), P and R the means over n = 1..order of n-gram precision and
    recall. An n for which a text is too short is left out of that text's mean.

    Source: Popović 2015, W15-3049; beta = 1 is her CHRF, beta = 3 her CHRF3.
    """
    precisions, recalls = [], []
    for length in range(1, order + 1):
        found, wanted = _character_ngrams(text, length), _character_ngrams(reference_text, length)
        shared = (found & wanted).total()
        if found:
            precisions.append(shared / found.total())
        if wanted:
            recalls.append(shared / wanted.total())
    if not precisions or not recalls:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    weighted = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / weighted if weighted else 0.0


JUDGES: Mapping[str, Judge] = {"concise": concise, "reference": reference}
"""Every judge that a configuration may name."""


def judge_problems(name: str, options: Mapping[str, object], where: str) -> list[str]:
    """What is wrong with a configured judge, one full sentence a problem.

    Args:
        name: The configured judge.
        options: Its options, as configured.
        where: The section that holds ``judge`` and ``judge_options``.
    """
    if name not in JUDGES:
        return [f"{where}.judge: {name!r}. A declared judge is needed. Choose one of {', '.join(sorted(JUDGES))}."]
    known = _options(JUDGES[name])
    problems = []
    for key, value in options.items():
        if key not in known:
            problems.append(f"{where}.judge_options.{key}: {name} has no such option. Choose from {', '.join(known)}.")
        elif not _is_positive(value, whole=isinstance(known[key], int)):
            kind = "a whole number" if isinstance(known[key], int) else "a number"
            problems.append(
                f"{where}.judge_options.{key}: {value!r}. {kind.capitalize()} above 0 is needed. "
                f"Remove it to get {known[key]}."
            )
    return problems


def score_answers(name: str, options: Mapping[str, object], candidates: Sequence[Candidate]) -> list[float]:
    """Score each candidate; six decimals, so that equal answers tie whatever the order of additions."""
    return [round(JUDGES[name](candidate, **options), 6) for candidate in candidates]


def ranks_of(scores: Sequence[float]) -> list[int]:
    """Rank of each score, 1 the highest; equal scores share the better rank: .9 .5 .5 .1 -> 1 2 2 4."""
    return [1 + sum(other > score for other in scores) for score in scores]


def _options(judge: Judge) -> dict[str, object]:
    """Name -> default of a judge's options: its keyword-only parameters."""
    parameters = inspect.signature(judge).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def _is_positive(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return value > 0


def _character_ngrams(text: str, length: int) -> Counter[str]:
    squeezed = "".join(text.split())
    return Counter(squeezed[start : start + length] for start in range(len(squeezed) - length + 1))
