"""Text from models: answers to prompts, and continuations, a batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import DataError
from hftrain.models.loading import context_tokens
from hftrain.runtime import progress
from hftrain.tokens.chat import END_OF_TEXT, Messages, encode_prompt, encode_text


@dataclass(frozen=True)
class Answer:
    """One answer of a model."""

    text: str
    tokens: tuple[int, ...]
    """Its token ids, the end of turn included where it came."""
    ended: bool
    """Whether the model ended it by itself."""


def answer_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Messages],
    *,
    answers_per_prompt: int = 1,
    new_tokens: int,
    temperature: float,
    seed: int,
    batch_rows: int = 64,
) -> list[list[Answer]]:
    """Answers to each prompt, by sampling (or the likeliest token where ``temperature`` is 0).

    Raises:
        DataError: A prompt and its answer would not fit the model's context.
    """
    rows = [encode_prompt(tokenizer, prompt) for prompt in prompts for _ in range(answers_per_prompt)]
    ends = [tokenizer.eos_token_id]
    made = _generate(model, tokenizer, rows, ends, new_tokens, temperature, seed, batch_rows)
    answers = [_answer(tokenizer, ids, ends) for ids in made]
    return [answers[first : first + answers_per_prompt] for first in range(0, len(answers), answers_per_prompt)]


def continue_text(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    new_tokens: int,
    temperature: float,
    seed: int,
) -> list[str]:
    """How the model goes on from each text, up to the end of the document it imagines."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    rows = [[end, *encode_text(tokenizer, text)] for text in texts]
    made = _generate(model, tokenizer, rows, [end], new_tokens, temperature, seed, 64)
    return [_answer(tokenizer, ids, [end]).text for ids in made]


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[list[int]],
    ends: list[int],
    new_tokens: int,
    temperature: float,
    seed: int,
    batch_rows: int,
) -> list[list[int]]:
    """New token ids for each row, in the order of the rows. The caller's random state is left as it was."""
    _check_fit(model, rows, new_tokens)
    how = GenerationConfig(
        max_new_tokens=new_tokens,
        do_sample=temperature > 0,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
        **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}),
    )
    made: dict[int, list[int]] = {}
    was_training = model.training
    model.eval()
    # Rows of like length share a batch: fewer pad tokens, and the order does not change what is drawn between runs.
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), index))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        with progress(total=len(rows), unit="answer", description="answers") as bar:
            for batch in _batched(order, batch_rows):
                ids, mask = left_padded([rows[index] for index in batch], tokenizer.pad_token_id)
                out = model.generate(ids.to(model.device), attention_mask=mask.to(model.device), generation_config=how)
                for index, tokens in zip(batch, out[:, ids.shape[1] :].tolist(), strict=True):
                    made[index] = tokens
                bar.update(len(batch))
    model.train(was_training)
    return [made[index] for index in range(len(rows))]


def left_padded(rows: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, shape (B, L) each: B rows, padded on the left to the longest, L."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def _answer(tokenizer: PreTrainedTokenizerFast, ids: list[int], ends: Sequence[int]) -> Answer:
    last = next((index for index, token in enumerate(ids) if token in ends), None)
    body = ids if last is None else ids[:last]
    kept = ids if last is None else ids[: last + 1]
    return Answer(text=tokenizer.decode(body, skip_special_tokens=True), tokens=tuple(kept), ended=last is not None)


def _check_fit(model: PreTrainedModel, rows: Sequence[list[int]], new_tokens: int) -> None:
    context = context_tokens(model)
    longest = max((len(row) for row in rows), default=0)
    if context is not None and longest + new_tokens > context:
        raise DataError(
            f"prompt of {longest} tokens and {new_tokens} new ones: the model's context is {context}. "
            f"At most {context - new_tokens} prompt tokens fit. Shorten the prompt or lower new_tokens."
        )


def _batched(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
