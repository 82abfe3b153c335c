"""Which policy of a run is kept: the last, or the one that a rule, declared before training, calls the best."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model

from hftrain.alignment.heldout import look
from hftrain.alignment.ppo_reward import FunctionReward
from hftrain.runtime import log

RULE = "the highest held-out reward among the looks whose held-out KL is within the budget; the earlier one of a tie"

Ask = Callable[[Any], tuple[Mapping[str, float], Sequence[Mapping[str, str]]]]


def best_look(looks: Sequence[Mapping[str, float]], kl_budget: float | None) -> Mapping[str, float]:
    """The look that `RULE` chooses, by ``heldout_objective`` and ``heldout_kl``.

    The look before the first update is among them and spends nothing, so there is always one.
    """
    within = [each for each in looks if kl_budget is None or each["heldout_kl"] <= kl_budget]
    return max(within, key=lambda each: (each["heldout_objective"], -each["step"]))


class KeepBest:
    """What `LookEvery` asks where the best policy is kept: held-out numbers beside the samples.

    The weights of the best policy so far lie in a file of their own. A run that is killed and goes on looks again at
    the step that it goes on from, and finds the same.
    """

    def __init__(
        self,
        ask: Ask,
        folder: Path,
        prompts: Sequence[list[int]],
        *,
        answers_per_prompt: int,
        seed: int,
        function_reward: FunctionReward | None = None,
    ) -> None:
        """Look at ``prompts``, which are not those that the finished policy is measured on.

        Args:
            ask: Gives the samples.
            folder: For the weights.
            prompts: Held-out prompts as token ids.
            answers_per_prompt: Answers to each, at each look.
            seed: Of all looks.
            function_reward: The reward for answers to these prompts, where it is a function.
        """
        self.ask, self.folder, self.prompts = ask, folder, prompts
        self.answers_per_prompt, self.seed = answers_per_prompt, seed
        self.function_reward = function_reward
        self.trainer: Any = None

    def __call__(self, trained: Any) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """Numbers and samples of the policy as it is now."""
        step: int = self.trainer.state.global_step
        numbers = self.measure()
        self._keep_if_best({**numbers, "step": step}, before=step)
        _, samples = self.ask(trained)
        return numbers, samples

    def measure(self) -> dict[str, float]:
        """Reward, divergence and habits of the policy as it is now."""
        trainer = self.trainer
        seen = look(
            trainer.models, self.prompts, trainer.sampling, answers_per_prompt=self.answers_per_prompt, seed=self.seed
        )
        objective = reward = seen.rewards.mean().item()
        found = {"heldout_reward": reward}
        if self.function_reward is not None:
            rows = [row for row in range(len(self.prompts)) for _ in range(self.answers_per_prompt)]
            checked = sum(self.function_reward.scores(rows, seen.answers)) / len(rows)
            found["heldout_function_reward"] = checked
            objective = checked + self.function_reward.reward_model_weight * reward
        kl = seen.divergences.mean().item()
        habits = {f"heldout_{name}": value for name, value in seen.numbers().items()}
        return {**found, "heldout_objective": objective, "heldout_kl": kl, **habits}

    def settle(self) -> dict[str, object]:
        """Give the trainer the best policy; returns what was chosen, by what rule."""
        trainer = self.trainer
        looks, last = self._looks(), trainer.policy_updates
        if all(each["step"] != last for each in looks):
            looks.append({**self.measure(), "step": last})
        best = best_look(looks, trainer.kl.budget)
        step = int(best["step"])
        if step != last:
            load_model(trainer.policy, str(self._path(step)))
        log.info("ppo: of %d policies looked at, that of update %d is kept", len(looks), step)
        trainer.policy_updates = step
        return {
            "keep_rule": RULE,
            "kept_updates": step,
            "choice_prompts": len(self.prompts),
            "choice_looks": len(looks),
            "choice_reward": best["heldout_objective"],
            "choice_kl": best["heldout_kl"],
        }

    def _looks(self) -> list[dict[str, float]]:
        """The looks that led to the policy that is left, each once."""
        history = [row for row in self.trainer.state.log_history if "heldout_objective" in row]
        return list({row["step"]: row for row in history if row["step"] <= self.trainer.policy_updates}.values())

    def _keep_if_best(self, found: dict[str, float], *, before: int) -> None:
        earlier = [each for each in self._looks() if each["step"] < before]
        if best_look([*earlier, found], self.trainer.kl.budget)["step"] != found["step"]:
            return
        path = self._path(int(found["step"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name("partial.safetensors")
        save_model(self.trainer.policy, str(partial))
        os.replace(partial, path)
        for step in sorted(int(each.stem.rpartition("-")[2]) for each in path.parent.glob("policy-*"))[:-2]:
            self._path(step).unlink()  # the newest policy may yet be given up for its divergence, the one before not

    def _path(self, step: int) -> Path:
        return self.folder / f"policy-{step}.safetensors"
