"""What pretraining is measured by: held-out bits per byte, against a uniform and a unigram model, and samples."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer

from hftrain.artifacts import record_measured, write_json
from hftrain.corpus.splits import take_bytes, texts_of
from hftrain.errors import ConfigError
from hftrain.models.generation import continue_text
from hftrain.models.loading import parameter_count, save_model
from hftrain.models.scoring import TextScore, bits_per_byte, score_texts, token_histogram, unigram_bits_per_byte
from hftrain.runtime import is_main_process
from hftrain.tokens.chat import encode_text

SAMPLE_TOKENS = 40


class Watch:
    """Held-out text and prompts, and a model's answer to them at any step."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        corpus: Path,
        *,
        row_tokens: int,
        heldout_bytes: int,
        look_bytes: int,
        prompts: Sequence[str],
    ) -> None:
        """Read the held-out text that all looks of this run share.

        Raises:
            ConfigError: A sample prompt leaves no room in a row for the model to go on.
        """
        self.tokenizer, self.row_tokens, self.prompts = tokenizer, row_tokens, prompts
        longest = max((1 + len(encode_text(tokenizer, prompt)) for prompt in prompts), default=0)
        self.sample_tokens = min(SAMPLE_TOKENS, row_tokens - longest)
        if self.sample_tokens < 1:
            raise ConfigError(
                f"pretrain.sample_prompts: one has {longest} tokens, and rows have {row_tokens}. "
                "Room to go on is needed. Shorten it, or raise pretrain.row_tokens."
            )
        self.heldout = take_bytes(texts_of(corpus, "heldout"), heldout_bytes)
        self.part = take_bytes(self.heldout, look_bytes)

    def score(self, model: PreTrainedModel) -> TextScore:
        """Score all of the held-out text."""
        return score_texts(model, self.tokenizer, self.heldout, row_tokens=self.row_tokens)

    def look(self, model: PreTrainedModel) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """Score a part of the held-out text, and go on with each prompt by the likeliest tokens."""
        score = score_texts(model, self.tokenizer, self.part, row_tokens=self.row_tokens)
        texts = continue_text(model, self.tokenizer, self.prompts, new_tokens=self.sample_tokens, temperature=0, seed=0)
        samples = [{"prompt": prompt, "completion": text} for prompt, text in zip(self.prompts, texts, strict=True)]
        return {"heldout_bits_per_byte": score.bits_per_byte}, samples


def publish_base(trainer: Trainer, watch: Watch, rows: Dataset, *, before: TextScore, out: Path) -> None:
    """Write the model, and what it learned against models that know nothing or only how often tokens occur."""
    if not is_main_process():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    save_model(model, watch.tokenizer, out)
    after = watch.score(model)
    args, state = trainer.args, trainer.state
    row_tokens = watch.row_tokens
    tokens = state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size * row_tokens
    counts = token_histogram((row for batch in rows.iter(1000) for row in batch["input_ids"]), len(watch.tokenizer))
    seconds = sum(row.get("train_runtime", 0.0) for row in state.log_history)
    record_measured(out, tokens_per_second=tokens / seconds if seconds else None)
    write_json(
        out / "summary.json",
        {
            "parameters": parameter_count(model),
            "steps": state.global_step,
            "train_tokens": tokens,
            "distinct_rows": len(rows),
            "heldout_bytes": after.bytes,
            "uniform_bits_per_byte": bits_per_byte(after.tokens * math.log(len(watch.tokenizer)), after.bytes),
            "unigram_bits_per_byte": unigram_bits_per_byte(counts, watch.tokenizer, watch.heldout),
            "heldout_bits_per_byte_before": before.bits_per_byte,
            "heldout_bits_per_byte_after": after.bits_per_byte,
        },
    )
