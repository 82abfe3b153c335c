"""Preference records: which prompts are asked, how answers are ranked, and which pairs come of it."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from datasets import Features, List, Value

from hftrain.alignment.judges import Candidate, Contest, Verdict
from hftrain.tokens.chat import Messages

PREFERENCE_FEATURES = Features(
    {
        "prompt": List({"role": Value("string"), "content": Value("string")}),
        "chosen": List({"role": Value("string"), "content": Value("string")}),
        "rejected": List({"role": Value("string"), "content": Value("string")}),
        "margin": Value("float64"),
    }
)
"""One pair a row, in the shape that TRL's preference trainers read; ``margin`` is what the judge saw between them."""


@dataclass(frozen=True)
class Question:
    """A prompt and what the corpus answers to it."""

    prompt: Messages
    references: tuple[str, ...]


@dataclass(frozen=True)
class RankedAnswer:
    """One answer and its place. ``score`` is None where people ranked without a score."""

    text: str
    ended: bool
    score: float | None
    rank: int


@dataclass(frozen=True)
class RankedPrompt:
    """The distinct answers to one prompt, as ranked. ``duplicates`` more were the same text as another."""

    prompt: Messages
    answers: tuple[RankedAnswer, ...]
    duplicates: int = 0
    undecided: frozenset[tuple[int, int]] = frozenset()
    """Places (i, j), i < j, in ``answers`` of two that a judge compared and could not tell apart by it."""


@dataclass
class PairCounts:
    """What became of the possible pairs."""

    ties: int = 0
    """The two differed by less than the minimum margin, or the judge, asked about the two, did not decide."""
    unfinished: int = 0
    """One of the two, or both, did not end by itself."""
    over_limit: int = 0
    """The prompt had its pairs already, all with a larger margin."""


@dataclass
class QuestionCounts:
    """What became of the conversations on their way to a prompt."""

    without_prompt: int = 0
    """No user message stands before an assistant message."""
    same_prompt: int = 0
    """Another conversation asks the same; its answer became one more reference."""
    seen_in_training: int = 0
    """A held-out prompt that is also asked in the training split."""


@dataclass
class Questions:
    """The prompts of both splits, no prompt in both."""

    train: list[Question]
    heldout: list[Question]
    counts: QuestionCounts = field(default_factory=QuestionCounts)


def prompt_key(prompt: Messages) -> str:
    """The same text for prompts that differ in case and white space only."""
    turns = [[message["role"], " ".join(message["content"].lower().split())] for message in prompt]
    return json.dumps(turns, ensure_ascii=False)


def read_questions(train: Iterable[Messages], heldout: Iterable[Messages]) -> Questions:
    """Turn conversations into prompts: all messages before the last assistant message.

    Conversations that ask the same are one prompt with several references. A held-out prompt that
    the training split asks too is left out: its answer has been learnt.
    """
    counts = QuestionCounts()
    asked_train, asked_heldout = _gather(train, counts), _gather(heldout, counts)
    unseen = [question for key, question in asked_heldout.items() if key not in asked_train]
    counts.seen_in_training = len(asked_heldout) - len(unseen)
    return Questions(list(asked_train.values()), unseen, counts)


def draw(
    questions: Sequence[Question], limit: int | None, *, seed: int, fits: Callable[[Question], bool]
) -> tuple[list[Question], int]:
    """Draw at most ``limit`` questions that fit, without replacement; they keep their first order.

    Returns:
        The questions, and how many were drawn that do not fit.
    """
    kept: list[int] = []
    unfit = 0
    for place in random.Random(seed).sample(range(len(questions)), len(questions)):
        if len(kept) == limit:
            break
        if fits(questions[place]):
            kept.append(place)
        else:
            unfit += 1
    return [questions[place] for place in sorted(kept)], unfit


def contest_of(question: Question, answers: Sequence[tuple[str, bool]]) -> Contest:
    """What a judge is to see: the distinct answers, each a text and whether it ended by itself."""
    distinct = dict.fromkeys(answers)
    return Contest(question.prompt, tuple(Candidate(text, ended, question.references) for text, ended in distinct))


def ranked_by(contest: Contest, verdict: Verdict, *, duplicates: int = 0) -> RankedPrompt:
    """The answers best to worst by the verdict's scores; equal scores keep their order."""
    order = sorted(range(len(verdict.scores)), key=lambda place: -verdict.scores[place])
    ranks = ranks_of(verdict.scores)
    answers = [
        RankedAnswer(each.text, each.ended, score, rank)
        for each, score, rank in zip(contest.candidates, verdict.scores, ranks, strict=True)
    ]
    now_at = {place: now for now, place in enumerate(order)}
    undecided = (sorted((now_at[i], now_at[j])) for i, j in verdict.undecided)
    best_first = tuple(answers[place] for place in order)
    return RankedPrompt(contest.prompt, best_first, duplicates, frozenset((i, j) for i, j in undecided))


def ranks_of(scores: Sequence[float]) -> list[int]:
    """Rank of each score, 1 the highest; equal scores share the better rank: .9 .5 .5 .1 -> 1 2 2 4."""
    return [1 + sum(other > score for other in scores) for score in scores]


def pairs_of(ranked: RankedPrompt, counts: PairCounts, *, minimum_margin: float, limit: int) -> list[dict[str, object]]:
    """Pairs of finished answers whose scores differ enough, the clearest first; adds to ``counts``.

    An answer that did not end by itself is in no pair. The chat template would close its turn, and the reward
    model would learn that a text cut anywhere may count as said to the end. That an answer must
    end is the business of PPO's ``missing_eos_penalty``, which sees the tokens.

    Without scores (human rankings) the margin of a pair is the difference of the ranks.
    """
    pairs = []
    for i, j in combinations(range(len(ranked.answers)), 2):
        better, worse = ranked.answers[i], ranked.answers[j]
        margin = _margin(better, worse)
        if margin < minimum_margin or margin == 0 or (i, j) in ranked.undecided:
            counts.ties += 1
        elif not (better.ended and worse.ended):
            counts.unfinished += 1
        else:
            pairs.append((margin, better.text, worse.text))
    pairs.sort(key=lambda pair: -pair[0])
    counts.over_limit += len(pairs[limit:])
    return [
        {
            "prompt": list(ranked.prompt),
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "margin": margin,
        }
        for margin, chosen, rejected in pairs[:limit]
    ]


def _margin(better: RankedAnswer, worse: RankedAnswer) -> float:
    if better.score is None or worse.score is None:
        return float(worse.rank - better.rank)
    return round(better.score - worse.score, 6)


def _gather(conversations: Iterable[Messages], counts: QuestionCounts) -> dict[str, Question]:
    """Prompt key -> question, in the order of first asking."""
    found: dict[str, Question] = {}
    for messages in conversations:
        last = max((place for place, each in enumerate(messages) if each["role"] == "assistant"), default=0)
        prompt = list(messages[:last])
        if not prompt or prompt[-1]["role"] != "user":
            counts.without_prompt += 1
            continue
        key, answer = prompt_key(prompt), messages[last]["content"]
        known = found.get(key)
        if known:
            counts.same_prompt += 1
            found[key] = Question(known.prompt, tuple(dict.fromkeys((*known.references, answer))))
        else:
            found[key] = Question(prompt, (answer,))
    return found
