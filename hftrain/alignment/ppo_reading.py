"""Reading answers that are there: log-probabilities, values and scores, without work on padding or unused logits.

Rows of like length are read together, padded on the right, where a causal model does not look; and the table of
logits is made for answer tokens only.

Shapes: B answers, Q prompt tokens (padded left), T answer tokens (padded right), R rows of a group, L tokens of its
longest row, N places that are asked for, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hftrain.models.training_step import CHUNKED_TYPES

LIKE_LENGTHS = 1.5
"""Rows up to so many times as long as the shortest are read with it."""


@dataclass(frozen=True)
class Group:
    """Some prompts with their answers."""

    rows: Tensor
    """Which of the batch. Shape (R,)."""
    ids: Tensor
    """Prompt and answer, padded on the right. Shape (R, L)."""
    prompt_tokens: Tensor
    """Shape (R,)."""
    answer_tokens: Tensor
    """Shape (R,)."""

    def places(self, length: Tensor) -> tuple[Tensor, Tensor]:
        """Row and place in the answer of the first ``length`` places of each answer. Shapes (R,) -> (N,), (N,)."""
        longest = int(length.max())
        row, place = (torch.arange(longest, device=length.device) < length.unsqueeze(1)).nonzero(as_tuple=True)
        return row, place

    def hidden(self, model: Any) -> Tensor:
        """The last hidden states. Shape (R, L, width)."""
        states: Tensor = model.base_model(input_ids=self.ids, use_cache=False).last_hidden_state
        return states


def like_lengths(lengths: Tensor, most_rows: int) -> list[Tensor]:
    """Rows in groups of like length, the shortest first; shape (R,) each, ``most_rows`` at most."""
    order = lengths.argsort(stable=True)
    groups: list[Tensor] = []
    first = 0
    sizes = lengths[order].tolist()
    for place in range(1, len(sizes) + 1):
        if place == len(sizes) or place - first == most_rows or sizes[place] > LIKE_LENGTHS * sizes[first]:
            groups.append(order[first:place])
            first = place
    return groups


def groups_of(tokens: Tensor, prompt_tokens: int, pad_token: int, most_rows: int) -> list[Group]:
    """A batch as groups of like length.

    Args:
        tokens: Prompt and answer, padded on both sides. Shape (B, Q + T).
        prompt_tokens: Q.
        pad_token: Never part of a row itself.
        most_rows: Of one group.
    """
    is_token = tokens != pad_token
    lengths, asked = is_token.sum(1), is_token[:, :prompt_tokens].sum(1)
    found = []
    for rows in like_lengths(lengths, most_rows):
        places = torch.arange(int(lengths[rows].max()), device=tokens.device)
        from_first = (prompt_tokens - asked[rows]).unsqueeze(1) + places
        ids = tokens[rows].gather(1, from_first.clamp(max=tokens.shape[1] - 1))
        ids = ids.masked_fill(places >= lengths[rows].unsqueeze(1), pad_token)
        found.append(Group(rows, ids, asked[rows], lengths[rows] - asked[rows]))
    return found


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each token, log softmax(logits)[token]. Shapes (..., V), (...) -> (...)."""
    logits = logits.float()
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def read_log_probs(model: Any, groups: Sequence[Group], answers: Tensor, temperature: float) -> Tensor:
    """Log-probability of each answer token; zero after the answer. Shapes (B, T) -> (B, T)."""
    found = []
    for group in groups:
        row, place = group.places(group.answer_tokens)
        at = group.prompt_tokens[row] - 1 + place  # what stands at a token says something about the next one
        tokens = answers[group.rows[row], place]
        found.append((group.rows[row], place, token_log_probs(_logits(model, group, row, at) / temperature, tokens)))
    return _spread(found, answers)


def read_values(model: Any, groups: Sequence[Group], answers: Tensor) -> Tensor:
    """The critic's value before each answer token and after an answer's end; zero elsewhere. (B, T) -> (B, T)."""
    found = []
    for group in groups:
        row, place = group.places((group.answer_tokens + 1).clamp(max=answers.shape[1]))
        hidden = group.hidden(model)[row, group.prompt_tokens[row] - 1 + place]
        found.append((group.rows[row], place, model.score(hidden).squeeze(-1).float()))
    return _spread(found, answers)


def read_scores(model: Any, groups: Sequence[Group], answers: Tensor) -> Tensor:
    """What a one-label classifier gives each answer at its last token. Shapes (B, T) -> (B,)."""
    scores = torch.zeros(len(answers), device=answers.device)
    for group in groups:
        row = torch.arange(len(group.rows), device=answers.device)
        hidden = group.hidden(model)[row, group.prompt_tokens + group.answer_tokens - 1]
        scores[group.rows] = model.score(hidden).squeeze(-1).float()
    return scores


def _logits(model: Any, group: Group, row: Tensor, at: Tensor) -> Tensor:
    """The logits at some places of a group. Shape (N, V)."""
    if model.config.model_type in CHUNKED_TYPES:
        logits: Tensor = model.get_output_embeddings()(group.hidden(model)[row, at])
        return logits
    everywhere: Tensor = model(input_ids=group.ids, use_cache=False).logits
    return everywhere[row, at]


def _spread(found: Sequence[tuple[Tensor, Tensor, Tensor]], like: Tensor) -> Tensor:
    """Numbers at (row, place), zero elsewhere, as one tensor of the shape of ``like``."""
    rows, places, numbers = (torch.cat(column) for column in zip(*found, strict=True))
    return torch.zeros(like.shape, device=like.device).index_put((rows, places), numbers.float())
