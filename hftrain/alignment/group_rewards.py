"""What answers are rewarded for, in the shape that TRL calls: the reward model, functions, and the price of no end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.policy_settings import REWARD_MODEL
from hftrain.alignment.prompts import Prompts
from hftrain.alignment.reward import load_reward_model, score_rows
from hftrain.alignment.reward_functions import load_reward_function
from hftrain.errors import ArtifactError
from hftrain.tokens.chat import encode_prompt

Reward = Callable[..., list[float]]
"""As TRL calls it: with ``prompts``, ``completions``, ``completion_ids`` and the dataset's columns by name."""


def rewards_of(names: Sequence[str], reward: Path | None, tokenizer: PreTrainedTokenizerFast) -> list[Reward]:
    """The rewards of these names, each reading answers to the prompts and what the corpus answers.

    Raises:
        ArtifactError: The reward model is among them, and there is none.
    """
    if reward is None and REWARD_MODEL in names:
        raise ArtifactError(
            f"rewards: {', '.join(names)}, but the run has no finished reward model. One is needed where it rewards. "
            "Make it first (recipes/reward_model.py), or reward by functions alone."
        )
    return [
        _by_model(load_reward_model(reward), tokenizer) if name == REWARD_MODEL and reward else _by_function(name)
        for name in names
    ]


def missing_eos(tokenizer: PreTrainedTokenizerFast) -> Reward:
    """-1 for an answer that did not end by itself, else 0."""

    def missing_eos(completion_ids: Sequence[list[int]], **_: Any) -> list[float]:
        return [0.0 if ids[-1] == tokenizer.eos_token_id else -1.0 for ids in completion_ids]

    return missing_eos


def functions_among(names: Sequence[str]) -> list[str]:
    """The rewards that are functions."""
    return [name for name in names if name != REWARD_MODEL]


def short_name(name: str) -> str:
    """A function's name without where it is from."""
    return name.rpartition(":")[2]


def scores_of_references(names: Sequence[str], prompts: Prompts) -> dict[str, float]:
    """What each function gives the corpus's own first answers, of both splits: it must be able to score them.

    Raises:
        DataError: It cannot.
    """
    asked = [*prompts.train_messages, *prompts.heldout_messages]
    known = [*prompts.train_references, *prompts.heldout_references]
    found = {}
    for name in functions_among(names):
        scores = load_reward_function(name)(asked, [each[0] for each in known], known)
        found[f"reference_{short_name(name)}"] = sum(scores) / len(scores)
    return found


def _by_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Reward:
    """The reward model's score at an answer's last token, where PPO reads it too."""

    def reward_model(prompts: Sequence[Any], completion_ids: Sequence[list[int]], **_: Any) -> list[float]:
        rows = [[*encode_prompt(tokenizer, prompt), *ids] for prompt, ids in zip(prompts, completion_ids, strict=True)]
        scores: list[float] = score_rows(model, rows).tolist()
        return scores

    return reward_model


def _by_function(name: str) -> Reward:
    function = load_reward_function(name)

    def score(prompts: Sequence[Any], completions: Sequence[Any], references: Sequence[Any], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return list(function(prompts, texts, [tuple(known) for known in references]))

    score.__name__ = short_name(name)
    return score
