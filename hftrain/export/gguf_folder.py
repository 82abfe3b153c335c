"""GGUF as a format: written with ``gguf``, loaded by llama.cpp and, where it can, by transformers."""

import contextlib
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
from hftrain.export.gguf_model import ARCHITECTURES, FILE, check_gguf, matrices_in, write_gguf
from hftrain.export.gguf_vocabulary import split_is_read_by_transformers
from hftrain.export.hard_texts import hard_texts
from hftrain.export.llama_cpp import LlamaCpp
from hftrain.export.measurement import Answering, Measured, Sample, end_tokens, until_end
from hftrain.export.parity import CONVERSATION, Parity, check_ids, check_log_probabilities, check_weights
from hftrain.models.scoring import score_texts
from hftrain.runtime import device
from hftrain.tokens.chat import Messages, encode_prompt, encode_text
from hftrain.tokens.vocabulary import PROBES

TYPED_MARK: Messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "<|im_end|>"})
"""A mark of turns written by a user, which the chat template must render as it stands."""

HARD_TEXTS = 200
"""Texts of every script and kind on which both splits are compared at each export, beside the held-out ones."""


class GgufFolder:
    """``gguf-f16``, ``gguf-q8_0`` or ``gguf-q4_0``: one file that needs nothing beside it."""

    weights = FILE

    def __init__(self, name: str) -> None:
        """Keep the precision, which is the part after the dash."""
        self.name = name
        self.precision = name.removeprefix("gguf-")

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
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
        check_weights(self.name, matrices_in(model, folder / FILE))
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
        found = replace(measure_in_llama_cpp(llama, tokenizer, sample), read_by=read_by)
        return replace(found, off_by_nats=check_llama_cpp(self.name, llama, tokenizer, sample.parity))

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by llama.cpp."""
        return partial(LlamaCpp(folder / FILE).continue_greedily, stop_at_end=False)


def read_gguf(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model and the tokenizer that plain transformers makes of the file; weights become 32 bits again."""
    with _without_bar():
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=FILE, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
    tokenizer: Any = AutoTokenizer.from_pretrained(
        folder, gguf_file=FILE, local_files_only=True, trust_remote_code=False
    )
    return model.to(device()).eval(), tokenizer


def measure_in_llama_cpp(llama: LlamaCpp, tokenizer: PreTrainedTokenizerFast, sample: Sample) -> Measured:
    """Bits per byte and greedy answers of a model that llama.cpp runs."""
    score = llama.score(tokenizer, sample.texts, row_tokens=sample.row_tokens)
    prompts = [encode_prompt(tokenizer, prompt) for prompt in sample.prompts]
    answers = [llama.continue_greedily(prompt, sample.answer_tokens) for prompt in prompts]
    return Measured(
        runtime="llama.cpp",
        bits_per_byte=score.bits_per_byte,
        answers=tuple(until_end(answer, end_tokens(tokenizer)) for answer in answers),
    )


def check_llama_cpp(name: str, llama: LlamaCpp, tokenizer: PreTrainedTokenizerFast, parity: Parity) -> float:
    """As `hftrain.export.parity`, by the template, the tokenizer and the weights in the file.

    Raises:
        ArtifactError: Token ids or probabilities differ.
    """
    plain = tokenizer.get_vocab()["a"]
    check_ids(name, "llama.cpp", parity, lambda prompt: llama.tokens(llama.prompt(prompt), special=True))
    return check_log_probabilities(
        name, "llama.cpp", parity, tokenizer, lambda place: llama.log_probabilities(place.ids, place.tokens, plain)
    )


def check_splits(
    where: str, tokenizer: PreTrainedTokenizerFast, split: Callable[[str], list[int]], texts: Sequence[str]
) -> None:
    """Make sure that a runtime splits text as we do, special tokens typed in it as plain text.

    Raises:
        ArtifactError: One of the texts differs, or of the probes or the hard texts.
    """
    for text in (*PROBES, *texts, *hard_texts(HARD_TEXTS, seed=0)):
        expected, found = encode_text(tokenizer, text), split(text)
        if found != expected:
            raise ArtifactError(
                f"{where}: splits {text[:80]!r} into {found[:20]}, not {expected[:20]}. The same tokens are needed. "
                "Remove the gguf formats from export.formats."
            )


def check_template(where: str, tokenizer: PreTrainedTokenizerFast, llama: LlamaCpp) -> None:
    """Make sure that llama.cpp renders a conversation as the tokenizer does.

    Raises:
        ArtifactError: It does not.
    """
    if not tokenizer.chat_template:
        return
    for talk in (CONVERSATION, TYPED_MARK):
        messages = [dict(message) for message in talk]
        ours = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        theirs = llama.prompt(talk)
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
