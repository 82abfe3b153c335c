"""What a pretraining is measured by: held-out text, before and after and now and then, and samples."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.corpus.splits import take_bytes, texts_of
from hftrain.errors import ConfigError
from hftrain.models.generation import continue_text
from hftrain.models.masked_scoring import MaskedScore, pseudo_log_likelihood, score_masked
from hftrain.models.scoring import TextScore, bits_per_byte, score_texts, token_histogram, unigram_bits_per_byte
from hftrain.tokens.chat import encode_text

SAMPLE_TOKENS = 40
ONE_BY_ONE_BYTES = 4_000
"""Held-out text that an encoder is scored on token by token: a forward pass for each."""

Look = tuple[Mapping[str, float], Sequence[Mapping[str, str]]]


class Watch(ABC):
    """Held-out text and what a model makes of it."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, corpus: Path, *, row_tokens: int, heldout_bytes: int, look_bytes: int
    ) -> None:
        """Read the held-out text that all looks of this run share."""
        self.tokenizer, self.row_tokens = tokenizer, row_tokens
        self.heldout = take_bytes(texts_of(corpus, "heldout"), heldout_bytes)
        self.part = take_bytes(self.heldout, look_bytes)
        self.first: Any = None

    def before(self, model: PreTrainedModel) -> None:
        """Score all of the text with the model as it begins."""
        self.first = self.score(model, self.heldout)

    @abstractmethod
    def score(self, model: PreTrainedModel, texts: Sequence[str]) -> Any:
        """How well a model knows some texts."""

    @abstractmethod
    def look(self, model: PreTrainedModel) -> Look:
        """Numbers on a part of the text, and samples."""

    @abstractmethod
    def summary(self, model: PreTrainedModel, rows: Dataset) -> Mapping[str, float]:
        """What was learned, against models that know nothing or only how often tokens occur."""


class NextTokenWatch(Watch):
    """For models that predict the next token: bits per byte, and how they go on with fixed prompts."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, corpus: Path, *, prompts: Sequence[str], row_tokens: int, **sizes: int
    ) -> None:
        """Read the held-out text that all looks of this run share.

        Raises:
            ConfigError: A sample prompt leaves no room in a row for the model to go on.
        """
        super().__init__(tokenizer, corpus, row_tokens=row_tokens, **sizes)
        self.prompts = prompts
        longest = max((1 + len(encode_text(tokenizer, prompt)) for prompt in prompts), default=0)
        self.sample_tokens = min(SAMPLE_TOKENS, row_tokens - longest)
        if self.sample_tokens < 1:
            raise ConfigError(
                f"pretrain.sample_prompts: one has {longest} tokens, and rows have {row_tokens}. "
                "Room to go on is needed. Shorten it, or raise pretrain.row_tokens."
            )

    def score(self, model: PreTrainedModel, texts: Sequence[str]) -> TextScore:
        """Nats and bytes."""
        return score_texts(model, self.tokenizer, texts, row_tokens=self.row_tokens)

    def look(self, model: PreTrainedModel) -> Look:
        """Score a part of the held-out text, and go on with each prompt by the likeliest tokens."""
        score = self.score(model, self.part)
        texts = continue_text(model, self.tokenizer, self.prompts, new_tokens=self.sample_tokens, temperature=0, seed=0)
        samples = [{"prompt": prompt, "completion": text} for prompt, text in zip(self.prompts, texts, strict=True)]
        return {"heldout_bits_per_byte": score.bits_per_byte}, samples

    def summary(self, model: PreTrainedModel, rows: Dataset) -> Mapping[str, float]:
        """Bits per byte before and after, of a uniform model and of one that knows how often tokens occur."""
        after = self.score(model, self.heldout)
        counts = token_histogram((row for batch in rows.iter(1000) for row in batch["input_ids"]), len(self.tokenizer))
        found = {
            "heldout_bytes": after.bytes,
            "uniform_bits_per_byte": bits_per_byte(after.tokens * math.log(len(self.tokenizer)), after.bytes),
            "unigram_bits_per_byte": unigram_bits_per_byte(counts, self.tokenizer, self.heldout),
            "heldout_bits_per_byte_after": after.bits_per_byte,
        }
        return found | ({"heldout_bits_per_byte_before": self.first.bits_per_byte} if self.first else {})


class MaskedWordsWatch(Watch):
    """For encoders: nats and hits at a fixed mask."""

    def score(self, model: PreTrainedModel, texts: Sequence[str]) -> MaskedScore:
        """Nats, hits and hidden tokens."""
        return score_masked(model, self.tokenizer, texts, row_tokens=self.row_tokens)

    def look(self, model: PreTrainedModel) -> Look:
        """Score a part of the held-out text; there are no samples of an encoder."""
        score = self.score(model, self.part)
        return {"heldout_masked_nats": score.nats_per_token, "heldout_masked_accuracy": score.accuracy}, []

    def summary(self, model: PreTrainedModel, rows: Dataset) -> Mapping[str, float]:
        """Nats and accuracy before and after; after, bits per byte by pseudo-log-likelihood."""
        after = self.score(model, self.heldout)
        part = take_bytes(self.heldout, ONE_BY_ONE_BYTES)
        one_by_one = pseudo_log_likelihood(model, self.tokenizer, part, row_tokens=self.row_tokens)
        found = {
            "heldout_masked_tokens": after.tokens,
            "heldout_masked_nats_after": after.nats_per_token,
            "heldout_masked_accuracy_after": after.accuracy,
            "heldout_pseudo_bits_per_byte": one_by_one.bits_per_byte,
        }
        if self.first:
            found |= {
                "heldout_masked_nats_before": self.first.nats_per_token,
                "heldout_masked_accuracy_before": self.first.accuracy,
            }
        return found


def watch_for(config: Any, tokenizer: PreTrainedTokenizerFast, corpus: Path, *, row_tokens: int) -> Watch:
    """What the objective of a ``PretrainConfig`` is measured by.

    Raises:
        ConfigError: A sample prompt leaves no room in a row for the model to go on.
    """
    sizes = {"row_tokens": row_tokens, "heldout_bytes": config.heldout_bytes, "look_bytes": config.look_bytes}
    if config.objective == "masked_words":
        return MaskedWordsWatch(tokenizer, corpus, **sizes)
    return NextTokenWatch(tokenizer, corpus, prompts=config.sample_prompts, **sizes)
