"""How far PPO's policy may go from its reference model: the price of a nat, and the most nats of all."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hftrain.alignment.ppo_math import adapted_kl_coef
from hftrain.runtime import log


class KLControl:
    """Price and bound of the divergence, and the policy that was last measured to be within."""

    def __init__(self, coef: float, *, budget: float | None, target: float | None, horizon: float) -> None:
        """Begin at the price ``coef``; `RepairedPPOTrainer` says what the others are."""
        self.coef, self.budget, self.target, self.horizon = coef, budget, target, horizon
        self.measured: float | None = None
        self.within: dict[str, Tensor] = {}

    def adapt(self, kl: float, episodes: int) -> None:
        """Move the price after an update of ``episodes`` answers that diverge by ``kl``; without a target it stays."""
        if self.target is not None:
            self.coef = adapted_kl_coef(self.coef, kl, target=self.target, horizon=self.horizon, episodes=episodes)

    def holds(self, policy: Any, divergence: float, step: int) -> bool:
        """Whether a policy is within the budget; one that is not takes on the weights of the one before it."""
        if self.budget is None:
            return True
        if divergence <= self.budget:
            self.measured = divergence
            self.within = {name: each.detach().clone() for name, each in policy.named_parameters()}
            return True
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                parameter.copy_(self.within[name])
        log.info(
            "ppo: update %d brought the policy to %.2f nats, over its budget of %g; the one before it stays, at %.2f",
            *(step, divergence, self.budget, self.measured),
        )
        return False

    def state(self) -> dict[str, float | None]:
        """Its numbers, for a checkpoint; the weights in ``within`` go beside them."""
        return {"coef": self.coef, "measured": self.measured}

    def restore(self, state: Mapping[str, Any], within: Mapping[str, Tensor]) -> None:
        """Go on from what a checkpoint holds."""
        self.coef, self.measured, self.within = state["coef"], state["measured"], dict(within)
