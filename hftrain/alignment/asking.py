"""Asking a model: several answers to each prompt, judged and ranked."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from hftrain.alignment.collected import Collected
from hftrain.alignment.judges import Judge, Judged, load_judge
from hftrain.alignment.judges_agreement import judge_agreement
from hftrain.alignment.preferences import Question, QuestionCounts, contest_of, draw, ranked_by, read_questions
from hftrain.alignment.rankings import read_rankings
from hftrain.artifacts import read_manifest
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ConfigError, DataError
from hftrain.files import digest_file
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import log
from hftrain.tokens.chat import Messages, encode_prompt, load_tokenizer

HELDOUT_PROMPTS_SHARE = 0.25
"""Held-out prompts asked for each training prompt asked."""


@dataclass(frozen=True)
class Asked:
    """The questions of both splits and what the model answered to each."""

    questions: Mapping[str, Sequence[Question]]
    answers: Mapping[str, Sequence[Sequence[Answer]]]
    left_out: Mapping[str, int]
    """What became of the prompts that were not asked."""


def ask_model(
    chat: Path,
    corpus: Path,
    *,
    prompts: int | None,
    answers_per_prompt: int,
    new_tokens: int,
    temperature: float,
    judge: str,
    options: Mapping[str, object],
    seed: int,
    scratch: Path | None = None,
    check_against: Path | None = None,
) -> Collected:
    """Ask a chat model the corpus's prompts, some of each split, and rank what it answers.

    Raises:
        ConfigError: Answers of that length leave no room for a prompt, or an endpoint that is to judge does not answer.
        DataError: A split gives no prompt, or a judge's replies are malformed.
    """
    judging = load_judge(judge, options, scratch)  # before the long work: a key may be missing
    people = {} if check_against is None else _agreement(judging, check_against)
    asked = sample_answers(
        chat,
        corpus,
        prompts=prompts,
        answers_per_prompt=answers_per_prompt,
        new_tokens=new_tokens,
        temperature=temperature,
        seed=seed,
    )
    splits = list(asked.questions)
    found = [
        (split, contest_of(question, [(each.text, each.ended) for each in given]), len(given))
        for split in splits
        for question, given in zip(asked.questions[split], asked.answers[split], strict=True)
    ]
    judged = judging([contest for _, contest, _ in found])
    ranked: dict[str, list[Any]] = {split: [] for split in splits}
    for (split, contest, given_count), verdict in zip(found, judged.verdicts, strict=True):
        ranked[split].append(ranked_by(contest, verdict, duplicates=given_count - len(contest.candidates)))
    origin = {
        "answered_by": read_manifest(chat)["digest"],
        "judge": judge,
        **asked.left_out,
        **judged.numbers,
        **people.get("numbers", {}),
    }
    places = [(split, contest.prompt) for split, contest, _ in found]
    return Collected(ranked, origin, [*_rows(judged, places), *people.get("asked", [])])


def sample_answers(
    chat: Path,
    corpus: Path,
    *,
    prompts: int | None,
    answers_per_prompt: int,
    new_tokens: int,
    temperature: float,
    seed: int,
) -> Asked:
    """Several answers of a chat model to the corpus's prompts, some of each split.

    Raises:
        ConfigError: Answers of that length leave no room for a prompt.
        DataError: A split gives no prompt.
    """
    model, tokenizer = load_causal_lm(chat), load_tokenizer(chat)
    room = prompt_room(model, new_tokens=new_tokens)
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout"))
    known = {"train": questions.train, "heldout": questions.heldout}
    asked: dict[str, list[Question]] = {}
    answers: dict[str, list[list[Answer]]] = {}
    too_long = 0
    for place, split in enumerate(known):
        asked[split], unfit = draw(
            known[split],
            _limit(prompts, split),
            seed=seed + place,
            fits=lambda question: len(encode_prompt(tokenizer, question.prompt)) <= room,
        )
        too_long += unfit
        if not asked[split]:
            raise _no_prompts(split, questions.counts, too_long)
        answers[split] = answer_prompts(
            model,
            tokenizer,
            [question.prompt for question in asked[split]],
            answers_per_prompt=answers_per_prompt,
            new_tokens=new_tokens,
            temperature=temperature,
            seed=seed + place,
        )
    left_out = {
        "conversations_without_prompt": questions.counts.without_prompt,
        "conversations_with_same_prompt": questions.counts.same_prompt,
        "heldout_prompts_seen_in_training": questions.counts.seen_in_training,
        "prompts_too_long": too_long,
    }
    return Asked(asked, answers, left_out)


def prompt_room(model: PreTrainedModel, *, new_tokens: int) -> int:
    """How many tokens a prompt may have beside an answer in the model's context.

    Raises:
        ConfigError: The context has no room for a prompt beside an answer of that length.
    """
    context = context_tokens(model) or sys.maxsize
    if new_tokens >= context:
        raise ConfigError(
            f"collect_preferences.new_tokens: {new_tokens}, but the chat model's context is {context}. "
            "Prompt and answer must fit together. Lower new_tokens, or train with longer rows."
        )
    return context - new_tokens


def _agreement(judge: Judge, path: Path) -> dict[str, Any]:
    """How the judge fares on people's rankings, and what it was asked for that."""
    rankings = read_rankings(path)
    numbers, judged = judge_agreement(judge, rankings)
    low, high = numbers["judge_agreement_interval"]
    log.info(
        "judge: decides %.1f %% of people's %d pairs as they did (95 %% interval %.1f to %.1f %%)",
        100 * numbers["judge_agreement"], numbers["judge_agreement_pairs"], 100 * low, 100 * high,
    )  # fmt: skip
    numbers |= {f"checked_{name}": value for name, value in judged.numbers.items()}
    asked = _rows(judged, [("check_against", each.prompt) for each in rankings])
    return {"numbers": numbers | {"checked_against": digest_file(path)}, "asked": asked}


def _rows(judged: Judged, places: Sequence[tuple[str, Messages]]) -> list[dict[str, Any]]:
    """What a judge was asked, with the split and the prompt of each contest."""
    return [
        {"split": places[row["contest"]][0], "prompt": list(places[row["contest"]][1]), **row} for row in judged.asked
    ]


def _limit(prompts: int | None, split: str) -> int | None:
    return prompts if prompts is None or split == "train" else max(1, round(prompts * HELDOUT_PROMPTS_SHARE))


def _no_prompts(split: str, counts: QuestionCounts, too_long: int) -> DataError:
    return DataError(
        f"corpus/conversations/{split}: gives no prompt. Of both splits, {counts.without_prompt} conversations have no "
        f"answer to a user, {counts.seen_in_training} held-out prompts are also in train, and {too_long} prompts leave "
        "no room for new_tokens in the chat model's context. Both splits need a prompt. Add conversations, or lower "
        "collect_preferences.new_tokens."
    )
