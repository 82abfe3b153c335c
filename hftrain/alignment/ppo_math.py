"""PPO's formulas on padded batches of answers, apart from any trainer.

Shapes: B answers in the batch, T answer tokens (the longest answer of the batch).
Sources: PPO arXiv:1707.06347, GAE arXiv:1506.02438, and for the details of masking and of where the score is
paid, "The N+ Implementation Details of RLHF with PPO" arXiv:2403.17031, which TRL's trainer follows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hftrain.alignment.ppo_rollout import Rollout


@dataclass(frozen=True)
class Targets:
    """What an update moves the policy and the critic towards. Shapes (B, T)."""

    advantages: Tensor
    returns: Tensor


@dataclass(frozen=True)
class Losses:
    """The clipped objectives of some answers; scalars."""

    policy: Tensor
    value: Tensor
    clip_share: Tensor
    """Share of tokens whose ratio left the clip range on the side that counts."""
    value_clip_share: Tensor
    """Share of states whose clipped value is the worse one, and counts."""
    approx_kl: Tensor
    """Nats a token from the policy that wrote the answers to the one as it is now: mean (log pi - log pi_old)^2 / 2."""
    ratio: Tensor
    """Mean of pi / pi_old over tokens."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places where the mask is true; scalar."""
    return (values * mask).sum() / mask.sum()


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """Unbiased variance over the places where the mask is true, 0 for a single one; scalar."""
    count = mask.sum()
    spread = masked_mean((values - masked_mean(values, mask)) ** 2, mask)
    return spread * count / (count - 1).clamp(min=1)


def whitened(values: Tensor, mask: Tensor, *, keep_mean: bool) -> Tensor:
    """Values scaled to variance 1 (and mean 0 unless kept) over the mask, zero elsewhere."""
    mean = masked_mean(values, mask)
    white = (values - mean) * torch.rsqrt(masked_variance(values, mask) + 1e-8)
    return (white + mean if keep_mean else white).masked_fill(~mask, 0.0)


def token_rewards(rollout: Rollout, scores: Tensor, *, kl_coef: float, kl_estimator: str) -> Tensor:
    """What each token earns: minus ``kl_coef`` * KL, and the whole answer's score once, after its last token.

    The score is paid in the state after the end token; an answer that fills all T places is paid at its last
    token. With r = log pi_ref - log pi, KL is -r ("k1") or exp(r) - 1 - r ("k3").

    Args:
        rollout: The answers.
        scores: Score of each answer, penalties included. Shape (B,).
        kl_coef: Price of one nat.
        kl_estimator: "k1" or "k3".

    Returns:
        Shape (B, T), zero after each answer.

    Source: http://joschu.net/blog/kl-approx.html for the estimators.
    """
    ratio = rollout.reference_log_probs - rollout.log_probs
    kl = -ratio if kl_estimator == "k1" else ratio.exp() - 1 - ratio
    rewards = -kl_coef * kl * rollout.mask
    paid_at = torch.where(rollout.last + 1 < rewards.shape[1], rollout.last + 1, rollout.last)
    rewards[torch.arange(len(rewards), device=rewards.device), paid_at] += scores
    return rewards


def advantages_and_returns(rewards: Tensor, values: Tensor, *, gamma: float, lam: float) -> Targets:
    """Generalized advantage estimation: A_t = d_t + gamma lam A_(t+1), d_t = r_t + gamma V_(t+1) - V_t; return = A + V.

    Rewards and values are zero after each answer, so nothing flows back from there. Shapes (B, T).
    Source: arXiv:1506.02438, equation 16.
    """
    length = rewards.shape[1]
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(length)):
        next_value = values[:, t + 1] if t + 1 < length else 0.0
        following = rewards[:, t] + gamma * next_value - values[:, t] + gamma * lam * following
        advantages[:, t] = following
    return Targets(advantages, advantages + values)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(return - value) / Var(return): 1 for a perfect critic, 0 for one that says the mean; scalar.

    Returns that do not vary leave nothing to explain: 0.
    """
    spread = masked_variance(returns, mask)
    unexplained = masked_variance(returns - values, mask)
    return torch.where(spread > 1e-12, 1 - unexplained / spread.clamp(min=1e-12), 0.0)


def clipped_losses(
    log_probs: Tensor,
    values: Tensor,
    rollout: Rollout,
    targets: Targets,
    rows: Tensor,
    *,
    cliprange: float,
    cliprange_value: float,
) -> Losses:
    """PPO's clipped surrogate and its clipped value loss, means over the tokens of some answers.

    policy = mean max(-A rho, -A clip(rho, 1 - e, 1 + e)) with rho = exp(log pi - log pi_old); value = 1/2 mean
    max((V - R)^2, (clip(V, V_old - e, V_old + e) - R)^2).

    Args:
        log_probs: Of the policy as it is now, at ``rows``. Shape (R, T).
        values: Of the critic as it is now, at ``rows``. Shape (R, T).
        rollout: The whole batch.
        targets: Of the whole batch.
        rows: Which answers of the batch. Shape (R,).
        cliprange: e for the ratio.
        cliprange_value: e for the value.

    Source: arXiv:1707.06347, equation 7, as a loss; the value's clipping is from OpenAI's baselines.
    """
    mask, value_mask = rollout.mask[rows], rollout.value_mask[rows]
    advantages, returns = targets.advantages[rows], targets.returns[rows]
    moved = (log_probs - rollout.log_probs[rows]).masked_fill(~mask, 0.0)
    ratio = torch.exp(moved)
    free = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - cliprange, 1.0 + cliprange)
    old_values = rollout.values[rows]
    values = values.masked_fill(~value_mask, 0.0)
    near = torch.clamp(values, old_values - cliprange_value, old_values + cliprange_value)
    plain, bounded = (values - returns) ** 2, (near - returns) ** 2
    return Losses(
        policy=masked_mean(torch.max(free, clipped), mask),
        value=0.5 * masked_mean(torch.max(plain, bounded), value_mask),
        clip_share=masked_mean((clipped > free).float(), mask),
        value_clip_share=masked_mean((bounded > plain).float(), value_mask),
        approx_kl=masked_mean(0.5 * moved**2, mask),
        ratio=masked_mean(ratio, mask),
    )


def adapted_kl_coef(kl_coef: float, kl: float, *, target: float, horizon: float, episodes: int) -> float:
    """The price of a nat after an update, so that the divergence stays near its target.

    b' = b (1 + n/h clip(KL/target - 1, -0.2, 0.2)) with n answers an update and h the horizon.

    Args:
        kl_coef: b.
        kl: Mean divergence of the update's answers, in nats.
        target: Nats wished for.
        horizon: h, in answers: the price changes by at most 0.2 n/h an update.
        episodes: n.

    Source: Ziegler et al. 2019, arXiv:1909.08593, section 2.2, whose K is n/h here, as in their code and TRL's.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * episodes / horizon)
