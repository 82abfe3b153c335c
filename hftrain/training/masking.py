"""Batches for a model that learns masked words: a fresh mask each time a row is seen, the same after a break."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hftrain.models.masks import Masks, masks_for


class MaskedCollator(TrainerCallback):
    """Rows to a masked batch. It follows the epochs as a callback: Trainer takes it as collator and as callback.

    Upstream's collator draws from one stream of random numbers, which a resumed run enters elsewhere: the loader
    collates a batch ahead of the checkpoint. Here the mask hangs on the row, the seed and the epoch alone.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = masks
        self.epoch: int | None = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take fresh masks; a run resumed in the middle of an epoch takes those of that epoch."""
        self.epoch = math.floor(state.epoch or 0)

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, torch.Tensor]:
        """A batch of masked ids and labels, -100 where nothing is to be found. Shape (B, L) each, B rows of L tokens.

        With padding in it, an attention mask too.

        Raises:
            RuntimeError: It was not given to Trainer as a callback too: every epoch would have the same masks.
        """
        if self.epoch is None:
            raise RuntimeError("MaskedCollator knows no epoch: pass it to Trainer's callbacks too")
        masked = [self.masks.apply(row["input_ids"], self.epoch) for row in rows]
        batch = {
            "input_ids": torch.from_numpy(np.stack([seen for seen, _ in masked])),
            "labels": torch.from_numpy(np.stack([labels for _, labels in masked])),
        }
        is_text = batch["input_ids"] != self.masks.pad_token
        return batch if is_text.all() else batch | {"attention_mask": is_text.long()}


def masked_collator(
    tokenizer: PreTrainedTokenizerFast, *, share: float, whole_words: bool, seed: int
) -> MaskedCollator:
    """The collator of a masked-words run, to be given to Trainer as ``data_collator`` and among its ``callbacks``.

    Raises:
        ConfigError: As `hftrain.models.masks.masks_for`.
    """
    return MaskedCollator(masks_for(tokenizer, share=share, whole_words=whole_words, seed=seed))
