"""Held-out text and conversations on which all formats of a model are compared."""

import random
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.corpus.storage import read_rows
from hftrain.errors import DataError
from hftrain.export.measurement import Sample
from hftrain.export.parity import CONVERSATION, parity_of
from hftrain.models.loading import context_tokens
from hftrain.tokens.chat import Messages, encode_prompt, prompt_of

PROMPTS: tuple[Messages, ...] = (
    [{"role": "user", "content": "Hello!"}],
    [{"role": "user", "content": "What is a dictionary?"}],
)
"""What is asked where the corpus holds no conversation that fits."""

LARGEST_SHARE = 16
"""No document gives more than this part of the text, so that one long one is not the whole of it."""

LONGEST_ROW_TOKENS = 512


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
    rows = min(context - 1, LONGEST_ROW_TOKENS)
    talks = (CONVERSATION, *[prompt for prompt in prompts or PROMPTS if not _types_a_mark(tokenizer, prompt)][:2])
    return Sample(texts, prompts or PROMPTS, rows, answer_tokens, parity_of(model, tokenizer, talks))


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


def _types_a_mark(tokenizer: PreTrainedTokenizerFast, prompt: Messages) -> bool:
    """Whether a special token stands in it as text, which training reads as text and a template does not."""
    return any(token in message["content"] for message in prompt for token in tokenizer.all_special_tokens)


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
