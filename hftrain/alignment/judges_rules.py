"""Judges that are declared rules: pure functions of one answer and of what people answered to the same prompt.

The same answer always gets the same score, between 0 and 1.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hftrain.alignment.judges import Candidate, Contest, Judge, Judged, Verdict


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


Rule = Callable[..., float]

RULES: Mapping[str, Rule] = {"concise": concise, "reference": reference}
"""Every rule that a configuration may name as its judge."""


def rule_judge(rule: Rule, options: Mapping[str, object]) -> Judge:
    """A judge that scores by the rule; six decimals, so that equal answers tie whatever the order of additions."""

    def judge(contests: Sequence[Contest]) -> Judged:
        return Judged(
            [
                Verdict(tuple(round(rule(candidate, **options), 6) for candidate in contest.candidates))
                for contest in contests
            ]
        )

    return judge


def _character_ngrams(text: str, length: int) -> Counter[str]:
    squeezed = "".join(text.split())
    return Counter(squeezed[start : start + length] for start in range(len(squeezed) - length + 1))
