"""Asking a model: several answers to each prompt, judged and ranked."""

import sys
from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.preferences import Question, RankedPrompt, rank_by_judge
from hftrain.errors import ConfigError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import context_tokens


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


def ask(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[Question],
    *,
    answers_per_prompt: int,
    new_tokens: int,
    temperature: float,
    judge: str,
    options: Mapping[str, object],
    seed: int,
) -> list[RankedPrompt]:
    """Sample answers to each question and rank them, best first."""
    answers = answer_prompts(
        model,
        tokenizer,
        [question.prompt for question in questions],
        answers_per_prompt=answers_per_prompt,
        new_tokens=new_tokens,
        temperature=temperature,
        seed=seed,
    )
    return [
        rank_by_judge(question, [(each.text, each.ended) for each in given], judge=judge, options=options)
        for question, given in zip(questions, answers, strict=True)
    ]
