"""What is measured of a model before and after export, on the same text and the same prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.export.parity import Parity
from hftrain.models.generation import answer_prompts
from hftrain.models.scoring import score_texts
from hftrain.tokens.chat import END_OF_TEXT, Messages

Answering = Callable[[Sequence[int], int], list[int]]
"""From a prompt's ids and a number of tokens to so many likeliest next tokens, past end tokens."""


@dataclass(frozen=True)
class Sample:
    """What every format is measured on."""

    texts: tuple[str, ...]
    prompts: tuple[Messages, ...]
    row_tokens: int
    """How far back a token sees while its probability is read."""
    answer_tokens: int
    parity: Parity


@dataclass(frozen=True)
class Measured:
    """One model in the runtime that it is made for."""

    runtime: str
    bits_per_byte: float
    answers: tuple[tuple[int, ...], ...]
    """Token ids of the greedy answer to each prompt, up to and with the first end token."""
    off_by_nats: float = 0.0
    """The largest difference of a likely token's log-probability from the full model's."""
    read_by: Mapping[str, float] = field(default_factory=dict)
    """Bits per byte in other runtimes that load the same files."""


def measure_in_transformers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sample: Sample,
    *,
    runtime: str = "transformers",
    off_by_nats: float = 0.0,
) -> Measured:
    """Bits per byte and greedy answers of a model that transformers runs."""
    score = score_texts(model, tokenizer, sample.texts, row_tokens=sample.row_tokens)
    answers = answer_prompts(model, tokenizer, sample.prompts, new_tokens=sample.answer_tokens, temperature=0, seed=0)
    ends = end_tokens(tokenizer)
    return Measured(
        runtime=runtime,
        bits_per_byte=score.bits_per_byte,
        answers=tuple(until_end(answer[0].tokens, ends) for answer in answers),
        off_by_nats=off_by_nats,
    )


def greedy_agreement(full: Measured, other: Measured) -> float:
    """Share of the greedy answers' tokens that are equal, place by place; a missing token is an unequal one."""
    pairs = [
        pair
        for one, two in zip(full.answers, other.answers, strict=True)
        for pair in zip_longest(one, two, fillvalue=None)
    ]
    return sum(one == two for one, two in pairs) / len(pairs)


def equal_answers(full: Measured, other: Measured) -> float:
    """Share of the greedy answers that are equal from the first token to the last."""
    return sum(one == two for one, two in zip(full.answers, other.answers, strict=True)) / len(full.answers)


def end_tokens(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Where an answer ends: llama.cpp stops at the end of a text too, whatever it was told."""
    return frozenset({tokenizer.eos_token_id, tokenizer.get_vocab()[END_OF_TEXT]})


def until_end(tokens: Sequence[int], ends: frozenset[int]) -> tuple[int, ...]:
    """The tokens up to and with the first end token."""
    last = next((index for index, token in enumerate(tokens) if token in ends), len(tokens))
    return tuple(tokens[: last + 1])


def bytes_below(folder: Path, pattern: str = "**/*") -> int:
    """Size of the files below a folder whose names match."""
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


def greedy_in_transformers(model: PreTrainedModel) -> Answering:
    """Greedy answers of one row by ``generate``, past end tokens."""
    generator: Any = model

    def answer(ids: Sequence[int], new_tokens: int) -> list[int]:
        row = torch.tensor([list(ids)], device=model.device)
        how = GenerationConfig(
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=model.generation_config.eos_token_id,
            pad_token_id=model.generation_config.pad_token_id,
        )
        with torch.inference_mode():
            made = generator.generate(row, attention_mask=torch.ones_like(row), generation_config=how)
        new: list[int] = made[0, len(ids) :].tolist()
        return new

    return answer
