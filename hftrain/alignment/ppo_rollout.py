"""PPO's rollouts: the policy answers, and the other models look at its answers.

Shapes: B answers, Q prompt tokens (padded left), T answer tokens (padded right).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hftrain.alignment.ppo_reading import groups_of, read_log_probs, read_scores, read_values
from hftrain.alignment.ppo_reading import token_log_probs as token_log_probs
from hftrain.alignment.ppo_sampling import Sampling as Sampling
from hftrain.alignment.ppo_sampling import write_answers


@dataclass(frozen=True)
class Rollout:
    """One batch of prompts with the policy's answers and everything measured on them before an update."""

    tokens: Tensor
    """Prompt and answer. Shape (B, Q + T)."""
    prompt_tokens: int
    """Q: where the answers begin."""
    log_probs: Tensor
    """Log-probability of each answer token under the policy that wrote it. Shape (B, T)."""
    reference_log_probs: Tensor
    """The same under the reference model. Shape (B, T)."""
    values: Tensor
    """The critic's value of the state before each answer token. Shape (B, T)."""
    entropies: Tensor
    """Entropy in nats of the policy at each answer token. Shape (B, T)."""
    scores: Tensor
    """Score of each whole answer. Shape (B,)."""
    ended: Tensor
    """Whether the answer wrote its end token. Shape (B,)."""
    last: Tensor
    """Place of the answer's last token. Shape (B,)."""

    @property
    def answers(self) -> Tensor:
        """The answer tokens. Shape (B, T)."""
        return self.tokens[:, self.prompt_tokens :]

    @property
    def mask(self) -> Tensor:
        """True at the tokens of the answer, its end token included. Shape (B, T)."""
        return places_up_to(self.last, self.answers.shape[1])

    @property
    def value_mask(self) -> Tensor:
        """True where a state is valued: before each token of the answer, and after its end. Shape (B, T)."""
        return places_up_to(self.last + 1, self.answers.shape[1])

    @property
    def divergence(self) -> Tensor:
        """Estimate of KL(policy || reference) by each answer, in nats: sum_t log pi - log pi_ref. Shape (B,)."""
        return ((self.log_probs - self.reference_log_probs) * self.mask).sum(1)

    def texts(self) -> list[list[int]]:
        """The token ids of each answer, without its end token."""
        lengths = self.last + 1 - self.ended.long()
        pairs = zip(self.answers.tolist(), lengths.tolist(), strict=True)
        return [ids[:length] for ids, length in pairs]


@dataclass(frozen=True)
class Models:
    """Who takes part in a rollout: models as transformers loads them."""

    policy: PreTrainedModel
    reference: PreTrainedModel
    reward: PreTrainedModel | None = None
    """Gives one number; without one, all scores are zero."""
    critic: PreTrainedModel | None = None
    """Gives one number; without one, all values are zero."""


def roll_out(models: Models, prompts: Tensor, how: Sampling) -> Rollout:
    """Have the policy answer and the other models look; ``how.batch_rows`` answers at a time.

    Args:
        models: Not trained here; the policy is left in the mode it was in.
        prompts: Shape (B, Q), padded on the left.
        how: The sampling.
    """
    with torch.no_grad():
        written = write_answers(models.policy, prompts, how)
        answers, width = written.answers, prompts.shape[1]
        tokens = torch.cat([prompts, answers], 1)
        groups = groups_of(tokens, width, how.pad_token, how.batch_rows)
        reference_log_probs, values = written.log_probs, torch.zeros_like(written.log_probs)
        scores = values.new_zeros(len(answers))
        if models.reference is not models.policy:
            reference_log_probs = read_log_probs(models.reference, groups, answers, how.temperature)
        if models.critic is not None:
            values = read_values(models.critic, groups, answers)
        if models.reward is not None:
            scores = read_scores(models.reward, groups, answers)
    return Rollout(
        tokens=tokens,
        prompt_tokens=width,
        log_probs=written.log_probs,
        reference_log_probs=reference_log_probs,
        values=values,
        entropies=written.entropies,
        scores=scores,
        ended=written.ended(how.end_token),
        last=written.last(how.pad_token),
    )


def look_again(policy: Any, critic: Any, tokens: Tensor, prompt_tokens: int, how: Sampling) -> tuple[Tensor, Tensor]:
    """Log-probabilities and values of answers under models that learn from them. Shapes (R, Q + T) -> (R, T) each."""
    groups = groups_of(tokens, prompt_tokens, how.pad_token, how.batch_rows)
    answers = tokens[:, prompt_tokens:]
    return read_log_probs(policy, groups, answers, how.temperature), read_values(critic, groups, answers)


def places_up_to(last: Tensor, length: int) -> Tensor:
    """True at places 0..last of each row. Shapes (B,) -> (B, length)."""
    return torch.arange(length, device=last.device) <= last.unsqueeze(1)
