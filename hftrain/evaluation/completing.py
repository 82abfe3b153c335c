"""Answers to plain prompts by the likeliest tokens, each up to the text where it ends."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast, StoppingCriteria

from hftrain.evaluation.answers import until_first
from hftrain.models.generation import left_padded
from hftrain.models.loading import context_tokens
from hftrain.runtime import progress

BATCH_ROWS = 64
TAIL_TOKENS = 24
"""A stop is looked for in so many last tokens while a model writes; its answer is cut at the first one afterwards."""


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    *,
    until: Sequence[str],
    new_tokens: int,
) -> list[str]:
    """What the model writes after each prompt, at most ``new_tokens`` (half its context) and up to the first stop.

    Prompts that leave no room are cut on the left, as in lm-evaluation-harness.
    """
    context = context_tokens(model)
    room = new_tokens if context is None else min(new_tokens, context // 2)
    encoded: list[list[int]] = tokenizer(list(prompts))["input_ids"] if prompts else []
    rows = [ids if context is None else ids[-(context - room) :] for ids in encoded]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    how = GenerationConfig(
        max_new_tokens=room, do_sample=False, use_cache=True, eos_token_id=_ends(model, tokenizer), pad_token_id=pad
    )
    order = sorted(range(len(rows)), key=lambda place: (-len(rows[place]), place))
    made: dict[int, str] = {}
    with torch.no_grad(), progress(total=len(rows), unit="answer", description="answers") as bar:
        for first in range(0, len(order), BATCH_ROWS):
            chunk = order[first : first + BATCH_ROWS]
            ids, mask = left_padded([rows[place] for place in chunk], pad)
            stopping: Any = [_Stops(tokenizer, until, ids.shape[1])] if until else None
            out = model.generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                generation_config=how,
                stopping_criteria=stopping,
            )
            texts = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            made |= {place: until_first(text, until) for place, text in zip(chunk, texts, strict=True)}
            bar.update(len(chunk))
    return [made[place] for place in range(len(rows))]


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """What ends a text for this model."""
    own = getattr(model.generation_config, "eos_token_id", None)
    listed = own if isinstance(own, list) else [] if own is None else [own]
    return sorted({*listed, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})


class _Stops(StoppingCriteria):
    """Says which rows have written a stop."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, until: Sequence[str], prompt_tokens: int) -> None:
        self.tokenizer, self.until, self.prompt_tokens = tokenizer, until, prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
        written = input_ids[:, self.prompt_tokens :][:, -TAIL_TOKENS:]
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        found = [any(stop in text for stop in self.until) for text in texts]
        return torch.tensor(found, device=input_ids.device)
