"""Asking a model: several answers to each prompt, judged and ranked."""

import sys
from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from hftrain.alignment.collected import Collected
from hftrain.alignment.preferences import QuestionCounts, draw, rank_by_judge, read_questions
from hftrain.artifacts import read_manifest
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ConfigError, DataError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.tokens.chat import encode_prompt, load_tokenizer

HELDOUT_PROMPTS_SHARE = 0.25
"""Held-out prompts asked for each training prompt asked."""


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
) -> Collected:
    """Ask a chat model the corpus's prompts, some of each split, and rank what it answers.

    Raises:
        ConfigError: Answers of that length leave no room for a prompt.
        DataError: A split gives no prompt.
    """
    model, tokenizer = load_causal_lm(chat), load_tokenizer(chat)
    room = prompt_room(model, new_tokens=new_tokens)
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout"))
    asked, ranked, too_long = {"train": questions.train, "heldout": questions.heldout}, {}, 0
    for place, (split, known) in enumerate(asked.items()):
        drawn, unfit = draw(
            known,
            _limit(prompts, split),
            seed=seed + place,
            fits=lambda question: len(encode_prompt(tokenizer, question.prompt)) <= room,
        )
        too_long += unfit
        if not drawn:
            raise _no_prompts(split, questions.counts, too_long)
        answers = answer_prompts(
            model,
            tokenizer,
            [question.prompt for question in drawn],
            answers_per_prompt=answers_per_prompt,
            new_tokens=new_tokens,
            temperature=temperature,
            seed=seed + place,
        )
        ranked[split] = [
            rank_by_judge(question, [(each.text, each.ended) for each in given], judge=judge, options=options)
            for question, given in zip(drawn, answers, strict=True)
        ]
    origin = {
        "answered_by": read_manifest(chat)["digest"],
        "judge": judge,
        "conversations_without_prompt": questions.counts.without_prompt,
        "conversations_with_same_prompt": questions.counts.same_prompt,
        "heldout_prompts_seen_in_training": questions.counts.seen_in_training,
        "prompts_too_long": too_long,
    }
    return Collected(ranked, origin)


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


def _limit(prompts: int | None, split: str) -> int | None:
    return prompts if prompts is None or split == "train" else max(1, round(prompts * HELDOUT_PROMPTS_SHARE))


def _no_prompts(split: str, counts: QuestionCounts, too_long: int) -> DataError:
    return DataError(
        f"corpus/conversations/{split}: gives no prompt. Of both splits, {counts.without_prompt} conversations have no "
        f"answer to a user, {counts.seen_in_training} held-out prompts are also in train, and {too_long} prompts leave "
        "no room for new_tokens in the chat model's context. Both splits need a prompt. Add conversations, or lower "
        "collect_preferences.new_tokens."
    )
