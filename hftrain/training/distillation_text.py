"""What a teacher writes for its student to read: answers to the corpus's prompts, and documents it goes on with.

Text is text whatever tokens it is written in: a student with another tokenizer learns from it too. Source: Kim and
Rush 2016, Sequence-Level Knowledge Distillation, arXiv:1606.07947.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.artifacts import read_json, write_json
from hftrain.corpus.splits import conversations_of, texts_of
from hftrain.models.generation import answer_prompts, continue_text
from hftrain.models.loading import context_tokens
from hftrain.runtime import is_main_process, log, rank_zero_first
from hftrain.tokens.chat import Messages, encode_prompt, prompt_of
from hftrain.training.distillation_rows import Written

OPENING_CHARS = 64
"""How much of a document the teacher is given to go on with."""

SHOWN = 50
"""Texts of each kind that the artifact keeps."""


def teacher_writes(
    settings: Any, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, corpus: Path, out: Path, *, seed: int
) -> Written:
    """Let a teacher write as ``WrittenSettings`` ask, once; some of it is kept in ``written.json``.

    Answers that did not end by themselves are left out, and so are empty ones.
    """
    path = out / "scratch" / "written.json"
    with rank_zero_first():
        if not path.is_file():
            documents = _documents(settings, teacher, tokenizer, corpus, seed)
            answered = _answers(settings, teacher, tokenizer, corpus, seed)
            write_json(path, {"documents": documents, "conversations": answered})
    found = read_json(path)
    if is_main_process():
        write_json(out / "written.json", {name: texts[:SHOWN] for name, texts in found.items()})
        counts = len(found["documents"]), len(found["conversations"])
        log.info("distill: the teacher wrote %d documents and %d answers", *counts)
    return Written(documents=found["documents"], conversations=found["conversations"])


def _documents(
    settings: Any, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, corpus: Path, seed: int
) -> list[str]:
    texts = islice(texts_of(corpus, "train", shuffled_by=seed), settings.documents)
    openings = [text[:OPENING_CHARS] for text in texts if text]
    if not openings:
        return []
    room = (context_tokens(teacher) or settings.document_tokens + OPENING_CHARS + 1) - OPENING_CHARS - 1
    more = continue_text(
        teacher,
        tokenizer,
        openings,
        new_tokens=min(settings.document_tokens, room),
        temperature=settings.temperature,
        seed=seed,
    )
    return [opening + rest for opening, rest in zip(openings, more, strict=True) if rest]


def _answers(
    settings: Any, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, corpus: Path, seed: int
) -> list[list[dict[str, str]]]:
    prompts = list(_prompts(conversations_of(corpus, "train", needed=False)))
    room = (context_tokens(teacher) or 1 << 30) - settings.answer_tokens
    prompts = [prompt for prompt in prompts if len(encode_prompt(tokenizer, prompt)) <= room]
    if not prompts or not settings.answers_per_prompt:
        return []
    made = answer_prompts(
        teacher,
        tokenizer,
        prompts,
        answers_per_prompt=settings.answers_per_prompt,
        new_tokens=settings.answer_tokens,
        temperature=settings.temperature,
        seed=seed,
    )
    return [
        [*(dict(message) for message in prompt), {"role": "assistant", "content": answer.text}]
        for prompt, answers in zip(prompts, made, strict=True)
        for answer in answers
        if answer.ended and answer.text.strip()
    ]


def _prompts(talks: Iterable[Messages]) -> Iterable[Messages]:
    """What stands before the last answer of each, once."""
    seen = set()
    for talk in talks:
        if not any(message["role"] == "assistant" for message in talk[1:]):
            continue
        prompt = prompt_of(talk)
        key = tuple((message["role"], message["content"]) for message in prompt)
        if key not in seen:
            seen.add(key)
            yield prompt
