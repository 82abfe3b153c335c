"""GGUF as a format: written with ``gguf``, loaded by llama.cpp and, where it can, by transformers."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    modeling_gguf_pytorch_utils,
)

from hftrain.errors import ArtifactError
from hftrain.export.gguf_model import ARCHITECTURES, FILE, check_gguf, write_gguf
from hftrain.export.gguf_vocabulary import split_is_read_by_transformers
from hftrain.export.llama_cpp import LlamaCpp
from hftrain.export.measurement import Measured, Sample, end_tokens, until_end
from hftrain.models.scoring import score_texts
from hftrain.runtime import device
from hftrain.tokens.chat import Messages, encode_prompt, encode_text
from hftrain.tokens.vocabulary import PROBES

CONVERSATION: Messages = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Who are you?\n"},
    {"role": "assistant", "content": "naïve 😀"},
    {"role": "user", "content": "<|im_end|>"},
)
"""What the chat template must render alike."""

SPLIT_TOLERANCE = 0.01
"""Share of held-out texts that llama.cpp may split otherwise: it knows other versions of Unicode than we do."""


class GgufFolder:
    """``gguf-f16`` or ``gguf-q8_0``: one file that needs nothing beside it."""

    weights = FILE

    def __init__(self, name: str) -> None:
        """Keep the precision, which is the part after the dash."""
        self.name = name
        self.precision = name.removeprefix("gguf-")

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        """Refuse what llama.cpp would compute or split in another way."""
        check_gguf(model, tokenizer, self.precision)

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write the file."""
        folder.mkdir(parents=True, exist_ok=True)
        write_gguf(model, tokenizer, folder / FILE, precision=self.precision)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the file in each runtime that knows it, check its tokens and its template, then measure.

        Raises:
            ArtifactError: A runtime splits text in another way, or renders conversations in another way.
        """
        read_by = {}
        reads_weights = ARCHITECTURES[model.config.model_type].read_by_transformers(model.config)
        if reads_weights and split_is_read_by_transformers(tokenizer):
            loaded, its_tokenizer = read_gguf(folder)
            check_splits(f"{folder}, in transformers", tokenizer, partial(encode_text, its_tokenizer), sample.texts)
            score = score_texts(loaded, tokenizer, sample.texts, row_tokens=sample.row_tokens)
            read_by["transformers"] = score.bits_per_byte
        llama = LlamaCpp(folder / FILE)
        check_splits(f"{folder}, in llama.cpp", tokenizer, llama.tokens, sample.texts)
        check_template(f"{folder}, in llama.cpp", tokenizer, llama)
        return replace(measure_in_llama_cpp(llama, tokenizer, sample), read_by=read_by)


def read_gguf(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model and the tokenizer that plain transformers makes of the file; weights become 32 bits again."""
    with _without_bar():
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=FILE, dtype=torch.float32, local_files_only=True
        )
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=FILE, local_files_only=True)
    return model.to(device()).eval(), tokenizer


def measure_in_llama_cpp(llama: LlamaCpp, tokenizer: PreTrainedTokenizerFast, sample: Sample) -> Measured:
    """Bits per byte, greedy answers and speed of a model that llama.cpp runs."""
    score = llama.score(tokenizer, sample.texts, row_tokens=sample.row_tokens)
    prompts = [encode_prompt(tokenizer, prompt) for prompt in sample.prompts]
    answers = [llama.continue_greedily(prompt, new_tokens=sample.answer_tokens) for prompt in prompts]
    began = time.perf_counter()
    made = llama.continue_greedily(prompts[0], new_tokens=sample.answer_tokens, stop_at_end=False)
    return Measured(
        runtime="llama.cpp",
        bits_per_byte=score.bits_per_byte,
        answers=tuple(until_end(answer, end_tokens(tokenizer)) for answer in answers),
        tokens_per_second=len(made) / (time.perf_counter() - began),
    )


def check_splits(
    where: str, tokenizer: PreTrainedTokenizerFast, split: Callable[[str], list[int]], texts: Sequence[str]
) -> None:
    """Make sure that a runtime splits text as we do, special tokens typed in it as plain text.

    Raises:
        ArtifactError: One of the probes differs, or more than ``SPLIT_TOLERANCE`` of the texts.
    """
    wrong = [text for text in PROBES if split(text) != encode_text(tokenizer, text)]
    if not wrong:
        differing = [text for text in texts if split(text) != encode_text(tokenizer, text)]
        wrong = differing if len(differing) > SPLIT_TOLERANCE * len(texts) else []
    if wrong:
        raise ArtifactError(
            f"{where}: splits {wrong[0][:80]!r} into {split(wrong[0])[:20]}, not "
            f"{encode_text(tokenizer, wrong[0])[:20]}. The same tokens are needed. Remove the gguf formats from "
            "export.formats."
        )


def check_template(where: str, tokenizer: PreTrainedTokenizerFast, llama: LlamaCpp) -> None:
    """Make sure that llama.cpp renders a conversation as the tokenizer does.

    Raises:
        ArtifactError: It does not.
    """
    if not tokenizer.chat_template:
        return
    messages = [dict(message) for message in CONVERSATION]
    ours = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    theirs = llama.prompt(CONVERSATION)
    if theirs != ours:
        raise ArtifactError(
            f"{where}: renders a conversation as {theirs!r}, not {ours!r}. The same text is needed. "
            "Remove the gguf formats from export.formats, or use a chat template that llama.cpp's Jinja knows."
        )


@contextlib.contextmanager
def _without_bar() -> Iterator[None]:
    """Keep transformers' reader from drawing its own progress bar, which no setting of it turns off."""
    reader: Any = modeling_gguf_pytorch_utils
    drawn = reader.tqdm
    reader.tqdm = partial(drawn, disable=True)
    try:
        yield
    finally:
        reader.tqdm = drawn
