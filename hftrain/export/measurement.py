"""What is measured of a model before and after export, on the same text and the same prompts."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.corpus.storage import read_rows
from hftrain.errors import DataError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import context_tokens
from hftrain.models.scoring import score_texts
from hftrain.tokens.chat import END_OF_TEXT, Messages, encode_prompt, prompt_of

PROMPTS: tuple[Messages, ...] = (
    [{"role": "user", "content": "Hello!"}],
    [{"role": "user", "content": "What is a dictionary?"}],
)
"""What is asked where the corpus holds no conversation that fits."""

LARGEST_SHARE = 16
"""No document gives more than this part of the text, so that one long one is not the whole of it."""

LONGEST_ROW_TOKENS = 512


@dataclass(frozen=True)
class Sample:
    """What every format is measured on."""

    texts: tuple[str, ...]
    prompts: tuple[Messages, ...]
    row_tokens: int
    """How far back a token sees while its probability is read."""
    answer_tokens: int


@dataclass(frozen=True)
class Measured:
    """One model in the runtime that it is made for."""

    runtime: str
    bits_per_byte: float
    answers: tuple[tuple[int, ...], ...]
    """Token ids of the greedy answer to each prompt, up to and with the first end token."""
    tokens_per_second: float
    """Greedy generation of one row. Depends on the machine."""
    read_by: Mapping[str, float] = field(default_factory=dict)
    """Bits per byte in other runtimes that load the same files."""


def draw_sample(
    corpus: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    text_bytes: int,
    prompt_count: int,
    answer_tokens: int,
    seed: int,
) -> Sample:
    """Held-out text and prompts of held-out conversations, the same for the same corpus and seed.

    Raises:
        DataError: There is no held-out text, or an answer does not fit the model's context.
    """
    context = context_tokens(model) or 2 * LONGEST_ROW_TOKENS
    longest_prompt = context - answer_tokens
    if longest_prompt < max(len(encode_prompt(tokenizer, prompt)) for prompt in PROMPTS):
        raise DataError(
            f"export.answer_tokens: {answer_tokens}, but the model's context is {context} tokens. A prompt and its "
            "answer must fit. Lower export.answer_tokens."
        )
    drawing = random.Random(seed)
    texts = tuple(_excerpts(corpus / "heldout", text_bytes, drawing))
    if not texts:
        raise DataError(
            f"{corpus / 'heldout'}: no text. Formats are compared on held-out text. Collect more documents."
        )
    prompts = tuple(_prompts(corpus / "conversations" / "heldout", tokenizer, prompt_count, longest_prompt, drawing))
    # One short of the context: llama.cpp wants room for the token that comes next.
    return Sample(texts, prompts or PROMPTS, min(context - 1, LONGEST_ROW_TOKENS), answer_tokens)


def measure_in_transformers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sample: Sample, *, runtime: str = "transformers"
) -> Measured:
    """Bits per byte, greedy answers and speed of a model that transformers runs."""
    score = score_texts(model, tokenizer, sample.texts, row_tokens=sample.row_tokens)
    answers = answer_prompts(model, tokenizer, sample.prompts, new_tokens=sample.answer_tokens, temperature=0, seed=0)
    ends = end_tokens(tokenizer)
    return Measured(
        runtime=runtime,
        bits_per_byte=score.bits_per_byte,
        answers=tuple(until_end(answer[0].tokens, ends) for answer in answers),
        tokens_per_second=_generated_per_second(model, tokenizer, sample),
    )


def greedy_agreement(full: Measured, other: Measured) -> float:
    """Share of the greedy answers' tokens that are equal, place by place; a missing token is an unequal one."""
    pairs = [
        pair
        for one, two in zip(full.answers, other.answers, strict=True)
        for pair in zip_longest(one, two, fillvalue=None)
    ]
    return sum(one == two for one, two in pairs) / len(pairs)


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


def _generated_per_second(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sample: Sample) -> float:
    ids = torch.tensor([encode_prompt(tokenizer, sample.prompts[0])], device=model.device)
    how = GenerationConfig(
        max_new_tokens=sample.answer_tokens,
        min_new_tokens=sample.answer_tokens,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    generator: Any = model
    with torch.inference_mode():
        began = time.perf_counter()
        generator.generate(ids, attention_mask=torch.ones_like(ids), generation_config=how)
        return sample.answer_tokens / (time.perf_counter() - began)


def _excerpts(folder: Path, text_bytes: int, drawing: random.Random) -> Iterator[str]:
    """Beginnings of documents in random order, ``text_bytes`` in all as nearly as whole characters allow."""
    rows = read_rows(folder)
    longest_chars = max(1, text_bytes // LARGEST_SHARE)
    for index in drawing.sample(range(len(rows)), len(rows)):
        text = rows[index]["text"][:longest_chars].encode()[:text_bytes].decode(errors="ignore")
        if text:
            yield text
            text_bytes -= len(text.encode())
        if text_bytes <= 0:
            return


def _prompts(
    folder: Path, tokenizer: PreTrainedTokenizerFast, count: int, longest_tokens: int, drawing: random.Random
) -> Iterator[Messages]:
    """Up to ``count`` held-out conversations without their last answer, in random order."""
    if not folder.is_dir():
        return
    rows = read_rows(folder)
    for index in drawing.sample(range(len(rows)), len(rows)):
        prompt = prompt_of(rows[index]["messages"])
        if len(encode_prompt(tokenizer, prompt)) <= longest_tokens:
            yield prompt
            count -= 1
        if count <= 0:
            return
