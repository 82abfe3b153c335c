"""What the ways to train a policy are told alike: how it answers, what it is measured on, what it is rewarded for.

This module is read while a configuration is checked: it imports nothing heavy.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from hftrain.alignment.reward_functions import reward_function_digest, reward_function_problems
from hftrain.config import StageConfig

REWARD_MODEL = "reward_model"
"""What the run's reward model is called among the rewards."""

Rules = dict[str, tuple[bool, str]]
"""Field or ``training.<argument>`` -> whether its value can be, and what is needed."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(StageConfig):
    """How a policy answers and what it is measured on. A subclass adds its method's own."""

    SECTION: ClassVar[str]
    """The method's name, and that of its section."""

    training: dict[str, Any] = field(default_factory=dict)
    """Arguments of upstream's trainer by their names."""

    new_tokens: int = 32
    """Longest answer, in tokens; one that is not over by then counts as not ended."""

    max_prompt_tokens: int = 48
    """Longer prompts are left out and counted."""

    heldout_prompts: int = 200
    """At most so many held-out prompts are answered before and after."""

    heldout_answers: int = 4
    """Answers sampled for each of them, each time."""

    look_every_steps: int = 20
    """How often, while training, a few held-out prompts are answered for ``samples.jsonl``."""

    def problems(self) -> list[str]:
        """Values that cannot be."""
        return [
            f"{self.SECTION}.{name}: {self._value(name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in self.rules().items()
            if not holds
        ]

    def rules(self) -> Rules:
        """What each value must be."""
        at_least_one = ("new_tokens", "max_prompt_tokens", "heldout_answers", "look_every_steps")
        return {name: (getattr(self, name) >= 1, "1 or more is needed") for name in at_least_one} | {
            "heldout_prompts": (self.heldout_prompts >= 2, "An interval needs 2 or more")
        }

    @property
    def sampling_temperature(self) -> float:
        """At which answers are sampled; 1 where the method samples none while it trains."""
        return float(self.training.get("temperature", 1.0))

    def _value(self, name: str) -> Any:
        where, _, key = name.rpartition(".")
        return self.training.get(key) if where else getattr(self, key)


@dataclass(frozen=True, kw_only=True)
class PairsConfig(PolicyConfig):
    """A policy that learns from preferences as they are."""

    max_row_tokens: int | None = None
    """A pair with a longer row is left out and counted, never cut; not set: the chat model's context."""

    max_dropped_share: float = 0.05
    """The stage refuses when more than this share of a split's pairs is too long."""

    look_every_steps: int = 50
    """How often, while training, the held-out pairs are compared and a few held-out prompts answered."""

    def rules(self) -> Rules:
        """What each value must be."""
        return super().rules() | {
            "max_row_tokens": (self.max_row_tokens is None or self.max_row_tokens >= 1, "1 or more is needed"),
            "max_dropped_share": (0 <= self.max_dropped_share < 1, "A share from 0 to below 1 is needed"),
            "training.beta": (self.training.get("beta", 0.1) > 0, "More than 0 is needed"),
        }


@dataclass(frozen=True, kw_only=True)
class RewardedConfig(PolicyConfig):
    """A policy whose own answers are rewarded."""

    rewards: list[str] = field(default_factory=lambda: [REWARD_MODEL])
    """What an answer's reward is the sum of: ``reward_model`` (the run's), a built-in function (final_number,
    exact_match, contains_reference), ``package.module:function`` or ``path/to/file.py:function``."""

    def outside(self) -> dict[str, str]:
        """The digests of the reward functions."""
        return {name: reward_function_digest(name) for name in self.rewards if name != REWARD_MODEL}

    def problems(self) -> list[str]:
        """Values that cannot be, and reward functions that are not there."""
        found = super().problems()
        for place, name in enumerate(self.rewards):
            if name != REWARD_MODEL:
                found += reward_function_problems(name, f"{self.SECTION}.rewards.{place}")
        return found

    def rules(self) -> Rules:
        """What each value must be."""
        distinct = len(set(self.rewards)) == len(self.rewards) > 0
        return super().rules() | {"rewards": (distinct, "One reward at least, each named once, is needed")}


@dataclass(frozen=True, kw_only=True)
class GroupConfig(RewardedConfig):
    """A policy whose answers to one prompt are compared with each other."""

    missing_eos_penalty: float | None = 1.0
    """Taken off the reward of an answer that did not end by itself; not set: nothing."""

    look_every_steps: int = 32
    """How often, while training, a few held-out prompts are answered for ``samples.jsonl``."""

    kl_budget: float | None = 10.0
    """The most nats by which the policy's answers may diverge from the chat model's, as the mean over one batch of
    training prompts. Once a policy is over it, training ends and the one before it is published. None: no bound."""

    def rules(self) -> Rules:
        """What each value must be."""
        given = self.training
        penalty, weights = self.missing_eos_penalty, given.get("reward_weights")
        group, rows = given.get("num_generations", 8), given.get("per_device_train_batch_size", 8)
        parts = given.get("steps_per_generation") or given.get("gradient_accumulation_steps", 1)
        batch = given.get("generation_batch_size") or rows * parts
        return super().rules() | {
            "missing_eos_penalty": (penalty is None or penalty > 0, "More than 0, or null for none, is needed"),
            "kl_budget": (self.kl_budget is None or self.kl_budget > 0, "More than 0, or null for no bound, is needed"),
            "training.beta": (
                given.get("beta", 0.0) > 0 or (self.kl_budget is None and given.get("beta", 0.0) == 0),
                "More than 0 is needed where kl_budget is set: without it there is no model to measure from",
            ),
            "training.num_generations": (
                group >= 2 and batch % group == 0,
                f"2 or more answers to a prompt, a divisor of the {batch} answers that are written at a time, are "
                "needed",
            ),
            "training.reward_weights": (
                weights is None or len(weights) == len(self.rewards),
                f"One weight for each of {', '.join(self.rewards)} is needed",
            ),
            "training.temperature": (given.get("temperature", 1.0) > 0, "Sampling needs more than 0"),
        }


@dataclass(frozen=True, kw_only=True)
class BestConfig(RewardedConfig):
    """A policy that is trained on the best of its own answers."""

    answers_per_prompt: int = 8
    """n: answers sampled for each training prompt."""

    temperature: float = 1.0
    """Of that sampling, above 0."""

    minimum_gain: float = 0.0
    """A prompt's best answer is picked if its reward is more than this above the mean of the prompt's answers."""

    sft_share: float = 0.25
    """Of the rows that are trained on, how many are the corpus's own conversations, so that less is forgotten."""

    @property
    def sampling_temperature(self) -> float:
        """At which answers are sampled."""
        return self.temperature

    def rules(self) -> Rules:
        """What each value must be."""
        return super().rules() | {
            "answers_per_prompt": (self.answers_per_prompt >= 2, "2 or more, to pick from, are needed"),
            "temperature": (self.temperature > 0, "At 0 all answers to a prompt are one; more than 0 is needed"),
            "minimum_gain": (self.minimum_gain >= 0, "0 or more is needed"),
            "sft_share": (0 <= self.sft_share < 1, "A share from 0 to below 1 is needed"),
        }
