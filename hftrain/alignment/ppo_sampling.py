"""How a policy writes answers while it is trained: sampled token by token, with what is done at a token kept small.

Upstream's ``generate`` serves every way of decoding; at a model of a few million parameters most of its time goes
there: into a cache that is copied whole at each token, rows that are over, and the logits of all tokens kept to the
end. Here keys and values have their room from the start, prompts are read in groups of like length, and rows
that have ended leave.

Shapes: B answers, Q prompt tokens (padded left), T answer tokens (padded right), R rows read at a time, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from hftrain.alignment.ppo_reading import like_lengths

WHOLE = 2.0**40
"""How many parts a distribution is cut into: whole numbers add up to the same sum on every device."""

LEFT_SHARE = 0.75
"""Rows that have ended leave once no more than this share still goes on: making room for fewer costs a copy."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: from the whole distribution at one temperature, up to the end token."""

    new_tokens: int
    temperature: float
    end_token: int
    pad_token: int
    batch_rows: int


@dataclass(frozen=True)
class Written:
    """Sampled answers, padded after their end token."""

    answers: Tensor
    """Token ids. Shape (B, T)."""
    log_probs: Tensor
    """Of each token, under the model that wrote it; zero after the answer. Shape (B, T)."""
    entropies: Tensor
    """In nats, of the distribution each token was drawn from; zero after the answer. Shape (B, T)."""

    def ended(self, end_token: int) -> Tensor:
        """Whether each answer wrote its end token. Shape (B,)."""
        return (self.answers == end_token).any(1)

    def last(self, pad_token: int) -> Tensor:
        """Place of each answer's last token. Shape (B,)."""
        return (self.answers != pad_token).sum(1) - 1


@torch.no_grad()
def write_answers(policy: PreTrainedModel, prompts: Tensor, how: Sampling) -> Written:
    """Sample an answer to each prompt, ``how.batch_rows`` at a time.

    One number from the random stream decides each token, so what one row draws does not depend on the others.

    Args:
        policy: Left in the mode it was in.
        prompts: Shape (B, Q), padded on the left.
        how: The sampling.
    """
    was_training = policy.training
    policy.eval()  # activation checkpointing would switch the cache off
    shape, device = (len(prompts), how.new_tokens), prompts.device
    chance = torch.rand(shape, device=device)
    answers = torch.full(shape, how.pad_token, device=device)
    log_probs, entropies = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    lengths = (prompts != how.pad_token).sum(1)
    for rows in torch.split(lengths.argsort(stable=True), how.batch_rows):
        _write(policy, prompts, rows, chance, (answers, log_probs, entropies), how)
    policy.train(was_training)
    longest = int((answers != how.pad_token).sum(1).max())
    return Written(answers[:, :longest], log_probs[:, :longest], entropies[:, :longest])


def draw(logits: Tensor, chance: Tensor, how: Sampling) -> tuple[Tensor, Tensor, Tensor]:
    """One token a row, its log-probability, and the entropy of its distribution in nats.

    The token is the first at which the shares, in whole parts and added up, exceed chance times their sum. Padding is
    never drawn: as a word of an answer it would read as what follows the answer.

    Args:
        logits: Shape (R, V).
        chance: Uniform in [0, 1). Shape (R,).
        how: The sampling.

    Returns:
        Three tensors of shape (R,).
    """
    logits = logits.float() / how.temperature
    total = logits.logsumexp(-1, keepdim=True)
    shares = (logits - total).exp_()
    entropies = total.squeeze(-1) - torch.linalg.vecdot(shares, logits)
    shares[:, how.pad_token] = 0
    reached = shares.mul_(WHOLE / shares.sum(-1, keepdim=True)).long().cumsum(-1)
    passed = (chance.double() * reached[:, -1]).long()
    tokens = torch.searchsorted(reached, passed.unsqueeze(-1), right=True)
    tokens = tokens.clamp(max=logits.shape[-1] - 1)  # of a model that has diverged, whose numbers will say so
    return tokens.squeeze(-1), (logits.gather(-1, tokens) - total).squeeze(-1), entropies


def _write(
    policy: PreTrainedModel,
    prompts: Tensor,
    rows: Tensor,
    chance: Tensor,
    sheets: tuple[Tensor, Tensor, Tensor],
    how: Sampling,
) -> None:
    """Write some rows' answers, with their log-probabilities and entropies, onto the sheets. Shapes (B, T)."""
    reader = _Reader(policy, prompts[rows], how)
    logits = reader.logits
    is_over = torch.zeros_like(rows, dtype=torch.bool)
    for place in range(how.new_tokens):
        drawn = draw(logits, chance[rows, place], how)
        tokens = drawn[0].masked_fill(is_over, how.pad_token)
        for sheet, column in zip(sheets, (tokens, *drawn[1:]), strict=True):
            sheet[rows, place] = column if sheet is sheets[0] else column.masked_fill(is_over, 0.0)
        is_over = is_over | (tokens == how.end_token)
        left = len(rows) - int(is_over.sum())
        if left == 0 or place + 1 == how.new_tokens:
            return
        if reader.can_let_go and left <= LEFT_SHARE * len(rows):
            going_on = (~is_over).nonzero().squeeze(-1)
            reader.keep(going_on)
            rows, tokens, is_over = rows[going_on], tokens[going_on], is_over[going_on]
        logits = reader.read(tokens)


class _Reader:
    """A model on its way through rows, one token a row at a time."""

    def __init__(self, policy: PreTrainedModel, prompts: Tensor, how: Sampling) -> None:
        """Read the prompts; ``logits``, shape (R, V), are what follows them."""
        self.policy = policy
        widest = int((prompts != how.pad_token).sum(1).max())
        prompts = prompts[:, prompts.shape[1] - widest :]
        is_token = prompts != how.pad_token
        room = widest + how.new_tokens
        self.is_token = torch.nn.functional.pad(is_token, (0, how.new_tokens), value=True)
        self.positions = is_token.sum(1)
        self.length = widest
        self.cache = DynamicCache(config=policy.config)
        self.can_let_go = all(type(layer) is DynamicLayer for layer in self.cache.layers)
        if self.can_let_go:
            self.cache.layers = [_RoomyLayer(room) for _ in self.cache.layers]
            self.logits = self._read_groups(prompts, is_token)
        else:
            self.logits = self._forward(prompts, is_token, is_token.cumsum(1) - 1, self.cache)

    def read(self, tokens: Tensor) -> Tensor:
        """One more token a row. Shapes (R,) -> (R, V)."""
        self.length += 1
        positions = self.positions.unsqueeze(1)
        self.positions = self.positions + 1
        return self._forward(tokens.unsqueeze(1), self.is_token[:, : self.length], positions, self.cache)

    def keep(self, rows: Tensor) -> None:
        """Let go of all rows but these."""
        self.is_token, self.positions = self.is_token[rows], self.positions[rows]
        self.cache.batch_select_indices(rows)

    def _read_groups(self, prompts: Tensor, is_token: Tensor) -> Tensor:
        """The prompts in groups of like length, each without the padding that only longer ones need."""
        logits: list[Tensor] = []
        order: list[Tensor] = []
        for rows in like_lengths(self.positions, len(prompts)):
            longest = int(self.positions[rows].max())
            ids, here = prompts[rows, -longest:], is_token[rows, -longest:]
            own = DynamicCache(config=self.policy.config)
            logits.append(self._forward(ids, here, here.cumsum(1) - 1, own))
            order.append(rows)
            for layer, read in zip(self.cache.layers, own.layers, strict=True):
                layer.put(read.keys, read.values, rows, len(prompts), self.length)
        return torch.cat(logits)[torch.cat(order).argsort()]

    def _forward(self, ids: Tensor, is_token: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
        output = self.policy(
            input_ids=ids,
            attention_mask=is_token,
            position_ids=positions.clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits


class _RoomyLayer(DynamicLayer):
    """Keys and values of one layer, with room for all that will come. Shape (R, heads, room, head width)."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.length = 0

    def put(self, keys: Tensor, values: Tensor, rows: Tensor, all_rows: int, end: int) -> None:
        """Take over what some of the rows have read; it ends at ``end``."""
        if self.length == 0:
            heads, width = keys.shape[1], keys.shape[3]
            self.keys = keys.new_zeros(all_rows, heads, self.room, width)
            self.values = values.new_zeros(all_rows, values.shape[1], self.room, values.shape[3])
            self.is_initialized = True
        self.keys[rows, :, end - keys.shape[2] : end] = keys
        self.values[rows, :, end - keys.shape[2] : end] = values
        self.length = end

    def update(self, key_states: Tensor, value_states: Tensor, *args: object, **named: object) -> tuple[Tensor, Tensor]:
        """Append, and return all there is."""
        first, self.length = self.length, self.length + key_states.shape[2]
        self.keys[:, :, first : self.length] = key_states
        self.values[:, :, first : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_seq_length(self) -> int:
        """How many tokens are held."""
        return self.length
