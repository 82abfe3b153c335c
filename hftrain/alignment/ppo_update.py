"""One PPO update: several optimizer steps of policy and critic on one rollout."""

import contextlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from hftrain.alignment import ppo_math
from hftrain.alignment.answer_habits import answer_habits
from hftrain.alignment.ppo_math import Targets
from hftrain.alignment.ppo_rollout import Rollout, Sampling

Seen = dict[str, list[Tensor]]


@dataclass(frozen=True)
class Update:
    """Policy and critic on the way through one rollout."""

    model: Any
    """Gives what `look_again` does, and holds the weights of both."""
    optimizer: Any
    accelerator: Accelerator
    args: Any
    """TRL's PPOConfig with its batch sizes filled in."""
    how: Sampling
    """How the rollout was drawn."""
    kl_coef: float
    """Price of one nat from the reference model."""

    def run(self, rollout: Rollout) -> dict[str, float]:
        """Train on one batch of answers.

        Returns:
            Numbers of the batch and of its update, means over all processes. KL, entropy, reward, values and
            lengths are those of the rollout, so of the models before the update. KL, entropy in nats.
        """
        args = self.args
        scores = rollout.scores - (args.missing_eos_penalty or 0.0) * ~rollout.ended
        rewards = ppo_math.token_rewards(rollout, scores, kl_coef=self.kl_coef, kl_estimator=args.kl_estimator)
        if args.whiten_rewards:
            rewards = ppo_math.whitened(rewards, rollout.value_mask, keep_mean=True)
        raw = ppo_math.advantages_and_returns(rewards, rollout.values, gamma=args.gamma, lam=args.lam)
        advantages = ppo_math.whitened(raw.advantages, rollout.mask, keep_mean=False)
        seen: Seen = defaultdict(list)
        for _ in range(args.num_ppo_epochs):
            order = torch.from_numpy(np.random.permutation(args.local_batch_size)).to(rollout.tokens.device)
            for rows in torch.split(order, args.local_mini_batch_size):
                self._step(rollout, Targets(advantages, raw.returns), rows, seen)
        return self._numbers(rollout, raw.returns, seen)

    def _step(self, rollout: Rollout, targets: Targets, rows: Tensor, seen: Seen) -> None:
        """One optimizer step on one mini-batch; its gradient is gathered over micro-batches of what fits in memory."""
        args = self.args
        parts = torch.split(rows, args.per_device_train_batch_size)
        for place, part in enumerate(parts, start=1):
            is_last = place == len(parts)
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(self.model):
                log_probs, values = self._look_again(rollout, part)
                losses = ppo_math.clipped_losses(
                    log_probs,
                    values,
                    rollout,
                    targets,
                    part,
                    cliprange=args.cliprange,
                    cliprange_value=args.cliprange_value,
                )
                loss = losses.policy + args.vf_coef * losses.value
                self.accelerator.backward(loss * (len(part) / len(rows)))
            for name, each in vars(losses).items():
                seen[name].append(each.detach())
        limit = args.max_grad_norm or float("inf")
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        seen["grad_norm"].append(norm.detach())
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _look_again(self, rollout: Rollout, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and values of some answers under the models as they are now. Shapes (R, T)."""
        with self.accelerator.autocast():
            found: tuple[Tensor, Tensor] = self.model(rollout.tokens[rows], rollout.prompt_tokens, self.how)
        return found

    def _numbers(self, rollout: Rollout, returns: Tensor, seen: Seen) -> dict[str, float]:
        means = {name: torch.stack(values).mean() for name, values in seen.items()}
        mask, value_mask = rollout.mask, rollout.value_mask
        local = {
            "reward": rollout.scores.mean(),
            "reward_std": rollout.scores.std(correction=0),
            "kl": rollout.divergence.mean(),
            "entropy": ppo_math.masked_mean(rollout.entropies, mask),
            "policy_loss": means.pop("policy"),
            "value_loss": means.pop("value"),
            **means,
            "explained_variance": ppo_math.explained_variance(rollout.values, returns, value_mask),
            "answer_tokens": mask.sum(1).float().mean(),
            "ended_share": rollout.ended.float().mean(),
        }
        habits = answer_habits(rollout.texts())
        found = [*local.values(), *(torch.tensor(value, device=mask.device) for value in habits.values())]
        mean = self.accelerator.reduce(torch.stack(found), "mean")
        return dict(zip([*local, *habits], mean.tolist(), strict=True))
