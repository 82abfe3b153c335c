"""What a PPO run is put together from: the models of finished artifacts, the prompts, the reward, who looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast, TrainerCallback

from hftrain.alignment.heldout import Score, greedy_answers
from hftrain.alignment.ppo import RepairedPPOTrainer, ppo_arguments
from hftrain.alignment.ppo_choice import KeepBest
from hftrain.alignment.ppo_reward import FunctionReward
from hftrain.alignment.prompts import Prompts
from hftrain.alignment.reward import load_reward_model
from hftrain.alignment.reward_functions import load_reward_function
from hftrain.artifacts import SCRATCH
from hftrain.errors import DataError
from hftrain.models.loading import load_causal_lm
from hftrain.models.training_step import lighten
from hftrain.tokens.chat import Messages
from hftrain.training.callbacks import LookEvery

SHOWN_PROMPTS = 4
"""Held-out prompts answered again and again while the policy trains."""


@dataclass(frozen=True)
class PPORun:
    """A trainer that is ready, and what its policy is to be measured by."""

    trainer: RepairedPPOTrainer
    keep: KeepBest | None
    """Chooses the policy, where that is not simply the last."""
    reported: list[list[int]]
    """Held-out prompts that play no part in that choice."""
    score: Score | None
    """The reward function's measure of answers to them."""


def ppo_run(
    config: Any, chat: Path, reward: Path, tokenizer: PreTrainedTokenizerFast, prompts: Prompts, out: Path, *, seed: int
) -> PPORun:
    """Put a run together.

    Args:
        config: The stage's ``PPOStageConfig``.
        chat: The policy's beginning, and its reference.
        reward: The reward model, and the critic's beginning.
        tokenizer: Of all of them.
        prompts: To train on and to measure on.
        out: Where checkpoints and samples go.
        seed: Of prompts and answers.

    Raises:
        DataError: There are too few held-out prompts to choose by some and measure on others.
    """
    rewarded = _function_reward(config, tokenizer, prompts.train_messages, prompts.train_references)
    places = list(range(len(prompts.heldout)))
    choice, reported = (places[::2], places[1::2]) if config.keep == "best" else ([], places)
    if len(reported) < 2:
        raise DataError(
            f"ppo.keep: {config.keep}, but there are {len(places)} held-out prompts. Two to choose by and two to "
            "measure on are needed. Add held-out conversations, or set ppo.keep to last."
        )
    chosen_by, reported_by = (
        _function_reward(
            config,
            tokenizer,
            [prompts.heldout_messages[place] for place in part],
            [prompts.heldout_references[place] for place in part],
        )
        for part in (choice, reported)
    )
    ask = greedy_answers(tokenizer, prompts.heldout_messages[:SHOWN_PROMPTS], new_tokens=config.new_tokens)
    keep = KeepBest(
        ask,
        out / SCRATCH / "best",
        [prompts.heldout[place] for place in choice],
        answers_per_prompt=config.heldout_answers,
        seed=seed,
        function_reward=chosen_by,
    )
    look = LookEvery(keep if choice else ask, every_steps=config.look_every_updates, scratch=out / SCRATCH)
    trainer = ppo_trainer(
        ppo_arguments(config.training, out, new_tokens=config.new_tokens, seed=seed),
        chat,
        reward,
        tokenizer,
        prompts=prompts.train,
        callbacks=[look],
        kl_budget=config.kl_budget,
        kl_target=config.kl_target,
        kl_horizon=config.kl_horizon,
        function_reward=rewarded,
    )
    keep.trainer = trainer
    return PPORun(
        trainer=trainer,
        keep=keep if choice else None,
        reported=[prompts.heldout[place] for place in reported],
        score=reported_by.scores if reported_by else None,
    )


def ppo_trainer(
    args: Any,
    chat: Path,
    reward: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    prompts: Sequence[list[int]],
    callbacks: list[TrainerCallback],
    **bounds: Any,
) -> RepairedPPOTrainer:
    """A trainer of the model in ``chat``, with itself as reference, and a critic that starts as the reward model.

    ``args`` are `ppo_arguments`, ``bounds`` `RepairedPPOTrainer`'s own arguments.
    """
    policy, critic = load_causal_lm(chat), load_reward_model(reward)
    for learning in (policy, critic):
        lighten(learning)
    return RepairedPPOTrainer(
        args=args,
        **bounds,
        processing_class=tokenizer,
        model=policy,
        ref_model=load_causal_lm(chat),
        reward_model=load_reward_model(reward),
        value_model=critic,
        train_dataset=Dataset.from_dict({"input_ids": list(prompts)}),
        callbacks=callbacks,
    )


def _function_reward(
    config: Any, tokenizer: PreTrainedTokenizerFast, asked: Sequence[Messages], known: Sequence[tuple[str, ...]]
) -> FunctionReward | None:
    """The configuration's function on these prompts and what the corpus answers to them, if it names one."""
    if config.reward_function is None:
        return None
    function = load_reward_function(config.reward_function)
    return FunctionReward(function, tokenizer, asked, known, config.reward_model_weight)
