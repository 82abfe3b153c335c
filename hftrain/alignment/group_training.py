"""Train a policy on rewards of groups of its answers: what GRPO and RLOO do alike."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from hftrain.alignment.group_policy import StopOverBudget
from hftrain.alignment.group_rewards import functions_among, missing_eos, rewards_of, scores_of_references
from hftrain.alignment.policy_measures import asked_of, publish_policy, sampling, shown_answers
from hftrain.alignment.policy_settings import GroupConfig
from hftrain.alignment.prompts import Prompts
from hftrain.artifacts import SCRATCH
from hftrain.errors import ConfigError
from hftrain.models.loading import load_causal_lm
from hftrain.runtime import is_main_process
from hftrain.training.arguments import training_arguments
from hftrain.training.callbacks import LookEvery
from hftrain.training.loop import run_trainer


def group_rows(prompts: Prompts) -> Dataset:
    """The training prompts as messages, each with what the corpus answers."""
    return Dataset.from_dict(
        {
            "prompt": [[dict(message) for message in prompt] for prompt in prompts.train_messages],
            "references": [list(known) for known in prompts.train_references],
        }
    )


def train_group(
    trainer_class: Any,
    arguments_class: Any,
    config: GroupConfig,
    *,
    chat: Path,
    reward: Path | None,
    corpus: Path,
    out: Path,
) -> None:
    """Train the model in ``chat`` on rewards of groups of its answers, and publish it with what it learned.

    Args:
        trainer_class: One of TRL's two behind `GroupRollouts`.
        arguments_class: Its arguments.
        config: The method's section.
        chat: The model that it starts from and is measured against.
        reward: The reward model.
        corpus: The prompts, and what the corpus answers.
        out: Where the policy goes.

    Raises:
        ConfigError: There are fewer prompts than one batch of answers needs, or a bound on a sharded model.
        DataError: A reward function cannot score what the corpus itself answers.
    """
    seed, name = config.seed or 0, config.SECTION
    tokenizer, prompts = asked_of(config, chat, reward, corpus)
    told: dict[str, Any] = dict(scores_of_references(config.rewards, prompts))
    rewards = rewards_of(config.rewards, reward, tokenizer)
    weights = [float(each) for each in config.training.get("reward_weights") or [1.0] * len(rewards)]
    if config.missing_eos_penalty is not None:
        rewards, weights = [*rewards, missing_eos(tokenizer)], [*weights, config.missing_eos_penalty]
    ours = {
        "max_completion_length": config.new_tokens,
        "reward_weights": weights,
        "remove_unused_columns": False,
        "generation_kwargs": {"suppress_tokens": [tokenizer.pad_token_id]},
        "logging_steps": 1,
        "include_num_input_tokens_seen": "no",  # TRL counts them itself
    }
    args = training_arguments(arguments_class, {**config.training, **ours}, out, seed=seed, section=name)
    _check_prompts(prompts, args, name)
    answer = shown_answers(tokenizer, prompts, new_tokens=config.new_tokens)
    look = LookEvery(lambda policy: ({}, answer(policy)), every_steps=config.look_every_steps, scratch=out / SCRATCH)
    stop = StopOverBudget()
    trainer = trainer_class(
        model=load_causal_lm(chat),
        reward_funcs=rewards,
        args=args,
        train_dataset=group_rows(prompts),
        processing_class=tokenizer,
        callbacks=[look, stop],
    )
    stop.trainer, trainer.kl_budget = trainer, config.kl_budget
    _check_whole(trainer, config)
    run_trainer(trainer, out, description=name)
    trainer.check_last(prompts.train, load_causal_lm(chat), sampling(tokenizer, config))
    if is_main_process():
        told |= _outcome(trainer, config)
        policy = trainer.accelerator.unwrap_model(trainer.model)
        publish_policy(
            policy, tokenizer, config,
            chat=chat, reward=reward, prompts=prompts, told=told, functions=functions_among(config.rewards), out=out,
        )  # fmt: skip


def _outcome(trainer: Any, config: GroupConfig) -> dict[str, Any]:
    """How training ended, in PPO's words."""
    updates = trainer.state.global_step if config.kl_budget is None else trainer.updates
    passes = trainer.num_iterations * trainer.args.steps_per_generation
    batches = -(-updates * trainer.args.gradient_accumulation_steps // passes)
    return {
        "updates": updates,
        "episodes": batches * trainer.args.generation_batch_size,
        "stopped_by": "kl_budget" if trainer.is_over else "max_steps",
        "kl_budget": config.kl_budget,
        "train_kl": trainer.kl,
    }


def _check_whole(trainer: Any, config: GroupConfig) -> None:
    if config.kl_budget is not None and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise ConfigError(
            f"{config.SECTION}.kl_budget: {config.kl_budget}, but the model is sharded over processes. Each must hold "
            f"all of it, to keep the policy that is within. Launch without FSDP and DeepSpeed, or set "
            f"{config.SECTION}.kl_budget: null."
        )


def _check_prompts(prompts: Prompts, args: Any, name: str) -> None:
    needed = args.generation_batch_size // args.num_generations
    if len(prompts.train) < needed:
        raise ConfigError(
            f"{name}.training: {args.generation_batch_size} answers are written at a time, {args.num_generations} to a "
            f"prompt, so {needed} prompts; the corpus has {len(prompts.train)}. As many at least are needed. Raise "
            "num_generations, or lower per_device_train_batch_size."
        )
