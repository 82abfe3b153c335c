"""Judging by questions to a language model: which of two answers is better, asked in both orders, or a grade for each.

A model that prefers whatever stands first is found out by the swap: a pair whose verdict changes with the order is a
tie, and how often that happens is told. Source: Zheng et al. 2023, arXiv:2306.05685, section 3.4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from hftrain.alignment.judges import Contest, Judge, Judged, Verdict
from hftrain.tokens.chat import Messages

FIRST, SECOND = "A", "B"
GRADES = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class Reply:
    """What a model answered to one question."""

    shares: Mapping[str, float] | None
    """Label -> how far the model means it, 1 in all; None where it gave none of the labels."""
    said: object
    """Its words, or the log-probabilities of the labels: what is kept for who wants to look."""


Asker = Callable[[Sequence[Messages], Sequence[str]], Sequence[Reply]]
"""Questions and the labels that answer them -> a reply to each, in their order."""


def questioning_judge(ask: Asker, mode: str, criterion: str) -> Judge:
    """A judge that asks a model; an answer that did not end by itself is not asked about and scores 0.

    Args:
        ask: Who is asked.
        mode: ``pairwise``: an answer scores the share of its comparisons that it won, a tie counting half.
            ``grades``: it scores its grade, 1 to 5, drawn to 0 to 1.
        criterion: What makes an answer better, in a sentence for the model.
    """

    def judge(contests: Sequence[Contest]) -> Judged:
        return (_compared if mode == "pairwise" else _graded)(ask, contests, criterion)

    return judge


def pair_question(prompt: Messages, first: str, second: str, criterion: str) -> Messages:
    """The message that asks which of two answers is better."""
    text = (
        f"Two answers to the same request are to be compared. {criterion}\n\n"
        f"[Request]\n{_as_text(prompt)}\n\n[Answer {FIRST}]\n{first}\n\n[Answer {SECOND}]\n{second}\n\n"
        f"Which answer is better? Reply with one letter, {FIRST} or {SECOND}, and nothing else."
    )
    return [{"role": "user", "content": text}]


def grade_question(prompt: Messages, answer: str, criterion: str) -> Messages:
    """The message that asks for the grade of an answer."""
    text = (
        f"An answer to a request is to be graded from {GRADES[0]} (very bad) to {GRADES[-1]} (very good). "
        f"{criterion}\n\n"
        f"[Request]\n{_as_text(prompt)}\n\n[Answer]\n{answer}\n\n"
        f"Which grade does it get? Reply with one digit from {GRADES[0]} to {GRADES[-1]}, and nothing else."
    )
    return [{"role": "user", "content": text}]


def _compared(ask: Asker, contests: Sequence[Contest], criterion: str) -> Judged:
    pairs = [(at, i, j) for at, contest in enumerate(contests) for i, j in combinations(_ended(contest), 2)]
    orders = [order for at, i, j in pairs for order in ((at, i, j), (at, j, i))]
    questions = [
        pair_question(contests[at].prompt, contests[at].candidates[i].text, contests[at].candidates[j].text, criterion)
        for at, i, j in orders
    ]
    replies = ask(questions, (FIRST, SECOND))
    wins = [_first_wins(reply) for reply in replies]
    outcomes = {pair: _outcome(there, back) for pair, there, back in zip(pairs, wins[::2], wins[1::2], strict=True)}
    asked = [
        {"contest": at, "first": i, "second": j, "question": question[0]["content"], "reply": reply.said}
        for (at, i, j), question, reply in zip(orders, questions, replies, strict=True)
    ]
    verdicts = [_verdict(at, contest, outcomes) for at, contest in enumerate(contests)]
    return Judged(verdicts, asked, position_bias(wins[::2], wins[1::2]))


def _first_wins(reply: Reply) -> float | None:
    """1, 0 or, for a tie, 1/2; None where there was no verdict."""
    if reply.shares is None:
        return None
    gap = reply.shares[FIRST] - reply.shares[SECOND]
    return 0.5 if gap == 0 else float(gap > 0)


def _outcome(there: float | None, back: float | None) -> float:
    """What the first of a pair gets: 1 or 0 where both orders name the same answer, else 1/2."""
    return there if there is not None and back is not None and there == 1 - back else 0.5


def _verdict(at: int, contest: Contest, outcomes: Mapping[tuple[int, int, int], float]) -> Verdict:
    """Shares of comparisons won; a pair is undecided if it tied, or was decided against those shares."""
    places = _ended(contest)
    won = {place: 0.0 for place in places}
    for i, j in combinations(places, 2):
        won[i] += outcomes[at, i, j]
        won[j] += 1 - outcomes[at, i, j]
    met = len(places) - 1
    shares = {place: round(won[place] / met, 6) for place in places if met > 0}
    scores = [shares.get(place, 0.0) for place in range(len(contest.candidates))]
    undecided = {
        (i, j) for i, j in combinations(places, 2) if (outcomes[at, i, j] - 0.5) * (scores[i] - scores[j]) <= 0
    }
    return Verdict(tuple(scores), frozenset(undecided))


def position_bias(there: Sequence[float | None], back: Sequence[float | None]) -> dict[str, Any]:
    """What swapping the two answers of each pair shows.

    Args:
        there: Whether the one that stood first won, pair by pair: 1, 0, 1/2 for a tie, None for no verdict.
        back: The same with the two answers swapped.

    Returns:
        ``judge_flipped_share``, of the pairs with two verdicts those whose winner changes with the order;
        ``judge_tied_share``, those without a winner in one order or both; ``judge_first_position_share``, how often
        what stood first won, a tie counting half: 1/2 without bias. Shares are None where nothing was asked.
    """
    both = [(one, other) for one, other in zip(there, back, strict=True) if one is not None and other is not None]
    firsts = [value for pair in both for value in pair]
    return {
        "judge_pairs": len(there),
        "judge_pairs_without_verdict": len(there) - len(both),
        "judge_flipped_share": _share([one == other != 0.5 for one, other in both]),
        "judge_tied_share": _share([0.5 in pair for pair in both]),
        "judge_first_position_share": _share(firsts),
    }


def _graded(ask: Asker, contests: Sequence[Contest], criterion: str) -> Judged:
    graded = [(at, place) for at, contest in enumerate(contests) for place in _ended(contest)]
    questions = [
        grade_question(contests[at].prompt, contests[at].candidates[place].text, criterion) for at, place in graded
    ]
    replies = ask(questions, GRADES)
    scores = {where: _grade(reply) for where, reply in zip(graded, replies, strict=True)}
    verdicts = []
    for at, contest in enumerate(contests):
        found = [scores.get((at, place), 0.0) for place in range(len(contest.candidates))]
        lost = [place for place, score in enumerate(found) if score is None]
        pairs = combinations(range(len(found)), 2)
        verdicts.append(
            Verdict(
                tuple(0.0 if score is None else score for score in found),
                frozenset((i, j) for i, j in pairs if i in lost or j in lost),
            )
        )
    asked = [
        {"contest": at, "answer": place, "question": question[0]["content"], "reply": reply.said}
        for (at, place), question, reply in zip(graded, questions, replies, strict=True)
    ]
    without = sum(score is None for score in scores.values())
    return Judged(verdicts, asked, {"judge_grades": len(graded), "judge_answers_without_grade": without})


def _grade(reply: Reply) -> float | None:
    """The mean grade, 1 to 5 drawn to 0 to 1."""
    if reply.shares is None:
        return None
    mean = sum(share * int(label) for label, share in reply.shares.items())
    return round((mean - int(GRADES[0])) / (int(GRADES[-1]) - int(GRADES[0])), 6)


def _ended(contest: Contest) -> list[int]:
    return [place for place, candidate in enumerate(contest.candidates) if candidate.ended]


def _share(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _as_text(prompt: Messages) -> str:
    """The request: the user's words, or the whole conversation with its roles."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n".join(f"{message['role']}: {message['content']}" for message in prompt)
