"""PPO's rollouts: the policy answers, and the other models look at its answers.

Shapes: B answers, Q prompt tokens (padded left), T answer tokens (padded right), V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel


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
    """The reward model's score of each whole answer. Shape (B,)."""
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


@dataclass(frozen=True)
class Models:
    """Who takes part in a rollout."""

    policy: PreTrainedModel
    reference: PreTrainedModel
    reward: PreTrainedModel
    critic: PreTrainedModel | None = None
    """Without one, all values are zero."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: from the whole distribution at one temperature, up to the end token."""

    new_tokens: int
    temperature: float
    end_token: int
    pad_token: int
    batch_rows: int


def roll_out(models: Models, prompts: Tensor, how: Sampling) -> Rollout:
    """Have the policy answer and the other models look; ``how.batch_rows`` answers at a time.

    Args:
        models: Not trained here; the policy is left in the mode it was in.
        prompts: Shape (B, Q), padded on the left.
        how: The sampling.
    """
    with torch.no_grad():
        written = _write_answers(models.policy, prompts, how)
        tokens = torch.cat([prompts, written.answers], 1)
        looked = [_look(models, part, prompts.shape[1], how) for part in torch.split(tokens, how.batch_rows)]
    reference_log_probs, values, scores = (torch.cat(column) for column in zip(*looked, strict=True))
    length = written.answers.shape[1]
    return Rollout(
        tokens=tokens,
        prompt_tokens=prompts.shape[1],
        log_probs=written.log_probs,
        reference_log_probs=reference_log_probs.masked_fill(~places_up_to(written.last, length), 0.0),
        values=values.masked_fill(~places_up_to(written.last + 1, length), 0.0),
        entropies=written.entropies,
        scores=scores.gather(1, written.last.unsqueeze(1)).squeeze(1),
        ended=written.ended,
        last=written.last,
    )


def padded_inputs(tokens: Tensor, pad_token: int) -> dict[str, Any]:
    """What a causal model needs to read rows padded on either side: positions count from each row's first token.

    Args:
        tokens: Shape (B, L).
        pad_token: Never part of a row itself.
    """
    mask = tokens != pad_token
    return {
        "input_ids": tokens.masked_fill(~mask, 0),
        "attention_mask": mask,
        "position_ids": mask.cumsum(1) - mask.long(),
        "use_cache": False,
    }


def places_up_to(last: Tensor, length: int) -> Tensor:
    """True at places 0..last of each row. Shapes (B,) -> (B, length)."""
    return torch.arange(length, device=last.device) <= last.unsqueeze(1)


def cut_after_end(answers: Tensor, end_token: int, pad_token: int) -> tuple[Tensor, Tensor, Tensor]:
    """Replace what follows the first end token by padding.

    Returns:
        The cut answers (B, T); whether each wrote its end token (B,); the place of its last token (B,).
    """
    is_end = answers == end_token
    ended = is_end.any(1)
    last = torch.where(ended, is_end.int().argmax(1), answers.shape[1] - 1)
    return answers.masked_fill(~places_up_to(last, answers.shape[1]), pad_token), ended, last


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each token, log softmax(logits)[token]. Shapes (B, T, V), (B, T) -> (B, T)."""
    logits = logits.float()
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def token_entropies(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats. Shapes (B, T, V) -> (B, T)."""
    logits = logits.float()
    return logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)


def token_scores(model: PreTrainedModel, tokens: Tensor, pad_token: int) -> Tensor:
    """The number that a one-label classifier's head gives at each token. Shapes (B, L) -> (B, L)."""
    hidden = model.base_model(**padded_inputs(tokens, pad_token)).last_hidden_state
    scores: Tensor = model.score(hidden).squeeze(-1)
    return scores.float()


@dataclass(frozen=True)
class _Written:
    """Sampled answers; shapes and meanings as in `Rollout`."""

    answers: Tensor
    log_probs: Tensor
    entropies: Tensor
    ended: Tensor
    last: Tensor


def _write_answers(policy: PreTrainedModel, prompts: Tensor, how: Sampling) -> _Written:
    """Sample an answer to each prompt, some rows at a time: the logits of all at once would be the largest tensor."""
    was_training = policy.training
    policy.eval()  # activation checkpointing would switch the cache off
    config = _generation_config(how)
    parts = []
    for part in torch.split(prompts, how.batch_rows):
        out = policy.generate(input_ids=part, attention_mask=part != how.pad_token, generation_config=config)
        answers, logits = out.sequences[:, part.shape[1] :], torch.stack(out.logits, 1) / how.temperature
        answers, ended, last = cut_after_end(answers, how.end_token, how.pad_token)
        after = ~places_up_to(last, answers.shape[1])
        log_probs = token_log_probs(logits, answers).masked_fill(after, 0.0)
        entropies = token_entropies(logits).masked_fill(after, 0.0)
        parts.append(_Written(answers, log_probs, entropies, ended, last))
    policy.train(was_training)
    return _Written(
        answers=_joined([part.answers for part in parts], how.pad_token),
        log_probs=_joined([part.log_probs for part in parts], 0.0),
        entropies=_joined([part.entropies for part in parts], 0.0),
        ended=torch.cat([part.ended for part in parts]),
        last=torch.cat([part.last for part in parts]),
    )


def _look(models: Models, tokens: Tensor, width: int, how: Sampling) -> tuple[Tensor, Tensor, Tensor]:
    """Reference log-probabilities, values and scores at each token after the first ``width``. Shapes (B, T)."""
    here = slice(width - 1, -1)  # what stands at a token says something about the next one
    logits = models.reference(**padded_inputs(tokens, how.pad_token)).logits[:, here] / how.temperature
    scores = token_scores(models.reward, tokens, how.pad_token)[:, width:]
    values = torch.zeros_like(scores)
    if models.critic is not None:
        values = token_scores(models.critic, tokens, how.pad_token)[:, here]
    return token_log_probs(logits, tokens[:, width:]), values, scores


def _generation_config(how: Sampling) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=how.new_tokens,
        do_sample=True,
        temperature=how.temperature,
        top_k=0,
        top_p=1.0,
        eos_token_id=how.end_token,
        pad_token_id=how.pad_token,
        suppress_tokens=[how.pad_token],  # as a word of an answer it would read as what follows the answer
        use_cache=True,
        return_dict_in_generate=True,
        output_logits=True,
    )


def _joined(parts: Sequence[Tensor], fill: float) -> Tensor:
    """One tensor from several of shape (B_i, T_i), shorter ones filled up on the right."""
    length = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, length - part.shape[1]), value=fill) for part in parts])
