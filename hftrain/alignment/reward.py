"""Reward models: made from a chat model, loaded, asked for scores, and measured on pairs."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from hftrain.errors import ArtifactError, DataError
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.models.opening import load_as
from hftrain.runtime import device, progress
from hftrain.tokens.chat import Messages, encode_conversation

BATCH_ROWS = 32


def new_reward_model(chat: Path, *, pad_token_id: int, seed: int) -> PreTrainedModel:
    """The chat model's body under a fresh head that gives one number, in evaluation mode.

    The head has no bias and reads the last token that is not padding: the end of the turn.

    Raises:
        ArtifactError: Upstream has no model with such a head of the chat model's type.
    """
    body = load_causal_lm(chat)
    config = AutoConfig.from_pretrained(chat, num_labels=1, local_files_only=True, trust_remote_code=False)
    config.pad_token_id = pad_token_id
    torch.manual_seed(seed)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ArtifactError(
            f"{chat}: a {config.model_type} model, and transformers has none of this type that gives scores. A chat "
            "model of type llama, qwen3 or gpt2 is needed. Pretrain one of these, or take a policy that needs no "
            "reward model, such as dpo."
        )
    make: Any = AutoModelForSequenceClassification.from_config
    model = make(config, dtype=torch.float32)
    model.base_model.load_state_dict(body.base_model.state_dict())
    on_device: PreTrainedModel = model.to(device()).eval()
    return on_device


def load_reward_model(folder: Path) -> PreTrainedModel:
    """Load a finished reward model in float32, in evaluation mode, on this machine's device.

    Raises:
        ArtifactError: As `load_as`; or the folder's model does not give exactly one number, or names no padding token.
    """
    model = load_as(AutoModelForSequenceClassification, folder)
    if model.config.num_labels != 1:
        raise ArtifactError(
            f"{folder}: its model gives {model.config.num_labels} numbers. A reward model gives one. "
            "Name the folder of a reward model."
        )
    if model.config.pad_token_id is None:
        raise ArtifactError(
            f"{folder}: its model names no padding token, so the last token of a row cannot be found. "
            "A pad_token_id is needed in config.json. Train the reward model again."
        )
    return model


def score_conversations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Messages],
    batch_rows: int = BATCH_ROWS,
) -> Tensor:
    """The reward of each conversation's last answer, as if it had ended by itself.

    Returns:
        Scores, unbounded, on the CPU. Shape (N,), N conversations in their order.

    Raises:
        DataError: A conversation is longer than the model's context.
    """
    rows = [encode_conversation(tokenizer, messages)[0] for messages in conversations]
    return score_rows(model, rows, batch_rows)


@torch.no_grad()
def score_rows(model: PreTrainedModel, rows: Sequence[Sequence[int]], batch_rows: int = BATCH_ROWS) -> Tensor:
    """The reward at the last token of each row of token ids.

    Rows are sorted by length and padded on the right, where a causal model cannot see it: a row's score does
    not depend on its batch, up to float rounding.

    Returns:
        Scores, unbounded, on the CPU. Shape (N,), N rows in their order.

    Raises:
        DataError: A row is empty or longer than the model's context.
    """
    context = context_tokens(model) or sys.maxsize
    for place, row in enumerate(rows):
        if not 0 < len(row) <= context:
            raise DataError(
                f"row {place}: {len(row)} tokens. The reward model reads 1 to {context}. Leave the row out."
            )
    was_training = model.training
    model.train(False)
    scores_N = torch.empty(len(rows))
    longest_first = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    starts = range(0, len(rows), batch_rows)
    for start in progress(starts, unit="batch", description="scores"):
        places = longest_first[start : start + batch_rows]
        ids_BT, mask_BT = pad_rows([rows[place] for place in places], model.config.pad_token_id)
        output = model(
            input_ids=ids_BT.to(model.device),
            attention_mask=mask_BT.to(model.device),
            use_cache=False,
        )
        scores_N[places] = output.logits[:, 0].float().cpu()
    model.train(was_training)
    return scores_N


@dataclass(frozen=True)
class PairScores:
    """Scores of pairs, in their order. Shape (B,), B pairs."""

    chosen_B: Tensor
    rejected_B: Tensor


def score_pairs(model: PreTrainedModel, rows: Dataset) -> PairScores:
    """Score both rows of each pair; ``rows`` has the columns ``chosen_ids`` and ``rejected_ids``."""
    return PairScores(score_rows(model, list(rows["chosen_ids"])), score_rows(model, list(rows["rejected_ids"])))


def reward_accuracy(chosen_B: Tensor, rejected_B: Tensor) -> float:
    """Share of pairs in which the chosen answer scores higher; a tie counts half.

    Args:
        chosen_B: Scores of the chosen answers, unbounded. Shape (B,), B pairs.
        rejected_B: Scores of the rejected answers, in the same order. Shape (B,).

    Raises:
        ValueError: The two differ in shape, or B is 0.

    Source: Stiennon et al. 2020, arXiv:2009.01325; the rule for ties is ours, so that a constant model gets 0.5.
    """
    if chosen_B.shape != rejected_B.shape or chosen_B.numel() == 0:
        raise ValueError(f"as many chosen as rejected scores, and one at least: {chosen_B.shape}, {rejected_B.shape}")
    wins, ties = chosen_B > rejected_B, chosen_B == rejected_B
    return (wins.sum().item() + 0.5 * ties.sum().item()) / chosen_B.numel()


def reward_margin(chosen_B: Tensor, rejected_B: Tensor) -> float:
    """Mean of chosen minus rejected score, in logits: the sigmoid of a margin is the model's odds for its pair."""
    return (chosen_B - rejected_B).double().mean().item()


def wilson_interval(share: float, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share seen in ``trials`` independent trials; inside 0..1 even at 0 and 1.

    centre = (p + z²/2n) / (1 + z²/n), half width = z / (1 + z²/n) * sqrt(p (1 - p) / n + z²/4n²)

    For pairs that share prompts, give the number of prompts: their pairs are not independent of each other, and
    the interval of as many single pairs is the widest that they can deserve.

    Source: Wilson 1927, JASA 22:209.
    """
    stretch = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / stretch
    half = z / stretch * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def pad_rows(rows: Sequence[Sequence[int]], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Ids and mask of shape (B, T), padded on the right to the longest row."""
    width = max(len(row) for row in rows)
    ids = [[*row, *[pad_token_id] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)
