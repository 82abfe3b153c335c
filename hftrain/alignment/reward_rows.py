"""Preference pairs as rows of tokens: encoded once, checked, never cut."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Features, List, Value
from transformers import PreTrainedTokenizerFast

from hftrain.alignment.preferences import prompt_key
from hftrain.artifacts import write_json
from hftrain.corpus.storage import read_rows, write_rows
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.runtime import progress
from hftrain.tokens.chat import encode_conversation, encode_prompt

ROW_FEATURES = Features(
    {
        "chosen_ids": List(Value("int32")),
        "rejected_ids": List(Value("int32")),
        "margin": Value("float64"),
        "length": Value("int64"),
        "prompt": Value("string"),
        "prompt_tokens": Value("int64"),
        "chosen_text": Value("string"),
        "rejected_text": Value("string"),
    }
)
"""What is trained on, and what the diagnostics read beside it; ``prompt`` is the prompt's key."""

TRAINED = ("chosen_ids", "rejected_ids", "length")
"""The columns that TRL's RewardTrainer takes as they are, without tokenizing again.

``length``, the tokens of the longer row, lets ``train_sampling_strategy: group_by_length`` waste less on padding.
"""


@dataclass
class EncodedCounts:
    """What became of the pairs of one split."""

    kept: int = 0
    too_long: int = 0
    """Pairs of which one row or both pass the limit; dropped whole, since a cut row has lost its end."""
    longest_tokens: int = 0
    prompts: set[str] = field(default_factory=set)
    """Keys of the distinct prompts of the kept pairs."""

    @property
    def dropped_share(self) -> float:
        """Share of the pairs that were dropped; 0 where there were none."""
        return self.too_long / max(1, self.kept + self.too_long)


def encode_pairs(
    tokenizer: PreTrainedTokenizerFast,
    pairs: Iterable[Mapping[str, Any]],
    *,
    max_row_tokens: int,
    counts: EncodedCounts,
) -> Iterator[dict[str, object]]:
    """Encode prompt + chosen and prompt + rejected, one row each; adds to ``counts``.

    Raises:
        ArtifactError: A row does not end in the tokenizer's end-of-turn token, where PPO will read the score.
    """
    for pair in pairs:
        chosen, _ = encode_conversation(tokenizer, [*pair["prompt"], *pair["chosen"]])
        rejected, _ = encode_conversation(tokenizer, [*pair["prompt"], *pair["rejected"]])
        for ids in (chosen, rejected):
            if ids[-1] != tokenizer.eos_token_id:
                raise ArtifactError(
                    f"chat tokenizer: a conversation ends in token {ids[-1]}, and the end of turn "
                    f"{tokenizer.eos_token!r} is {tokenizer.eos_token_id}. A reward is read at the last token, so "
                    "both must be one. Train the tokenizer again with this version."
                )
        longest = max(len(chosen), len(rejected))
        counts.longest_tokens = max(counts.longest_tokens, longest)
        if longest > max_row_tokens:
            counts.too_long += 1
            continue
        counts.kept += 1
        key = prompt_key(pair["prompt"])
        counts.prompts.add(key)
        yield {
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "margin": pair["margin"],
            "length": longest,
            "prompt": key,
            "prompt_tokens": len(encode_prompt(tokenizer, pair["prompt"])),
            "chosen_text": pair["chosen"][-1]["content"],
            "rejected_text": pair["rejected"][-1]["content"],
        }


def write_pair_rows(
    folder: Path,
    preferences: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    context_tokens: int | None,
    max_row_tokens: int | None,
    max_dropped_share: float,
) -> None:
    """Encode both splits of a preferences folder into ``folder/train``, ``folder/heldout`` and ``folder/counts.json``.

    Raises:
        ConfigError: ``max_row_tokens`` is more than the model's context.
        DataError: A split has no pairs, or too large a share of them is too long.
    """
    limit = _limit(context_tokens, max_row_tokens)
    counts: dict[str, EncodedCounts] = {}
    for split in ("train", "heldout"):
        counts[split] = EncodedCounts()
        pairs = read_rows(preferences / split)
        shown = progress(pairs, total=len(pairs), unit="pair", description=f"encoding {split}")
        rows = encode_pairs(tokenizer, shown, max_row_tokens=limit, counts=counts[split])
        write_rows(folder / split, rows, ROW_FEATURES)
        _check_enough(split, counts[split], max_row_tokens=limit, max_dropped_share=max_dropped_share)
    numbers = {
        "train_pairs": counts["train"].kept,
        "heldout_pairs": counts["heldout"].kept,
        "heldout_prompts": len(counts["heldout"].prompts),
        "dropped_too_long": sum(each.too_long for each in counts.values()),
    }
    write_json(folder / "counts.json", numbers)


def _limit(context_tokens: int | None, max_row_tokens: int | None) -> int:
    if context_tokens is not None and max_row_tokens is not None and max_row_tokens > context_tokens:
        raise ConfigError(
            f"reward_model.max_row_tokens: {max_row_tokens}, but the chat model's context is {context_tokens}. "
            "A row must fit the context. Lower it, or remove it to take the context."
        )
    return max_row_tokens or context_tokens or sys.maxsize


def _check_enough(split: str, counts: EncodedCounts, *, max_row_tokens: int, max_dropped_share: float) -> None:
    """Refuse a split that is empty, or of which too much was dropped.

    Raises:
        DataError: Nothing is left, or more than the share was too long.
    """
    if counts.kept + counts.too_long == 0:
        raise DataError(
            f"preferences/{split}: has no pairs. Training and measuring each need some. "
            "Raise collect_preferences.prompts, or give more rankings."
        )
    if counts.kept == 0 or counts.dropped_share > max_dropped_share:
        raise DataError(
            f"preferences/{split}: {counts.too_long} of {counts.kept + counts.too_long} pairs pass {max_row_tokens} "
            f"tokens; the longest row has {counts.longest_tokens}. At most a share of {max_dropped_share} may be "
            "dropped, and one pair at least must be left. Raise reward_model.max_row_tokens up to the chat model's "
            "context, train with a longer one, or raise reward_model.max_dropped_share."
        )
