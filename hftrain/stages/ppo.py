"""Train a chat model by PPO on the reward model's scores of its own answers: chat/ + reward/ + corpus/ -> policy/."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from hftrain.alignment.reward_functions import reward_function_digest, reward_function_problems
from hftrain.artifacts import record_measured, stage, write_json
from hftrain.config import StageConfig
from hftrain.stages import OWNED_TRAINING
from hftrain.upstream import fields_of

# Sizes that follow from others, paths that are artifacts here, what the repaired trainer decides, and what TRL's
# configuration takes from transformers and PPO has no use for.
FOLLOWS = frozenset(
    {
        "auto_find_batch_size",
        "batch_size",
        "dataset_num_proc",
        "ds3_gather_for_generation",
        "eval_strategy",
        "label_smoothing_factor",
        "load_best_model_at_end",
        "local_batch_size",
        "local_mini_batch_size",
        "logging_first_step",
        "logging_steps",
        "logging_strategy",
        "max_steps",
        "micro_batch_size",
        "mini_batch_size",
        "model_adapter_name",
        "num_sample_generations",
        "num_total_batches",
        "ref_adapter_name",
        "response_length",
        "reward_model_path",
        "save_only_model",
        "save_total_limit",
        "sft_model_path",
        "stop_token",
        "stop_token_id",
        "world_size",
    }
)


@dataclass(frozen=True, kw_only=True)
class PPOStageConfig(StageConfig):
    """How far and how a policy is trained, and what it is measured on."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "trl.experimental.ppo.ppo_config:PPOConfig"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING | FOLLOWS}

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "total_episodes": 1536,
            "per_device_train_batch_size": 64,
            "num_mini_batches": 4,
            "num_ppo_epochs": 1,
            "learning_rate": 3e-4,
            "lr_scheduler_type": "linear",
            "kl_coef": 0.1,
            "vf_coef": 0.5,
            "temperature": 1.0,
            "missing_eos_penalty": 1.0,
            "save_steps": 8,
        }
    )
    """PPOConfig, by TRL's names. A batch holds per_device_train_batch_size * gradient_accumulation_steps prompts a
    process; each makes num_ppo_epochs * num_mini_batches optimizer steps."""

    new_tokens: int = 32
    """Longest answer, in tokens; one that is not over by then counts as not ended."""

    max_prompt_tokens: int = 48
    """Longer prompts are left out and counted."""

    kl_budget: float | None = 10.0
    """The most nats by which the policy's answers may diverge from the chat model's, as the mean over one batch of
    training prompts. Once a policy is over it, training ends and the one before it is published. None: no bound."""

    kl_target: float | None = None
    """Nats by which answers shall diverge: ``training.kl_coef`` is the price of a nat at first, and then rises above
    the target and falls below. None: the price stays."""

    kl_horizon: float = 10_000
    """How slowly the price adapts: by 0.2 times an update's answers over this, at most."""

    keep: str = "last"
    """Which policy is published. ``last``: the one training ended with. ``best``: of those looked at (every
    ``look_every_updates``, the first and the last too), the one with the highest held-out reward whose held-out KL is
    within ``kl_budget``; measured on every other held-out prompt, and ``heldout_`` numbers are of the others."""

    reward_function: str | None = None
    """Rewards answers in place of the reward model, which still measures: a built-in such as ``final_number``,
    ``package.module:function`` or ``path/to/file.py:function``."""

    reward_model_weight: float = 0.0
    """What the reward model's score counts for beside ``reward_function``'s."""

    heldout_prompts: int = 200
    """At most so many held-out prompts are answered before and after."""

    heldout_answers: int = 4
    """Answers sampled for each of them, each time."""

    look_every_updates: int = 8
    """How often, while training, a few held-out prompts are answered for ``samples.jsonl``."""

    def outside(self) -> dict[str, str]:
        """The file of a reward function of the user's own."""
        return {self.reward_function: reward_function_digest(self.reward_function)} if self.reward_function else {}

    def problems(self) -> list[str]:
        """Values that cannot be, and batches that do not divide."""
        given = self.training
        batch = given.get("per_device_train_batch_size", 8) * given.get("gradient_accumulation_steps", 1)
        parts = given.get("num_mini_batches", 1)
        penalty, episodes = given.get("missing_eos_penalty"), given.get("total_episodes")
        rules = {
            "new_tokens": (self.new_tokens >= 1, "1 or more is needed"),
            "max_prompt_tokens": (self.max_prompt_tokens >= 1, "1 or more is needed"),
            "kl_budget": (self.kl_budget is None or self.kl_budget > 0, "More than 0, or null for no bound, is needed"),
            "kl_target": (self.kl_target is None or self.kl_target > 0, "More than 0, or null, is needed"),
            "kl_horizon": (self.kl_horizon >= batch, f"As many as an update's {batch} answers or more are needed"),
            "keep": (self.keep in ("last", "best"), "last or best is needed"),
            "reward_model_weight": (
                self.reward_model_weight == 0 or self.reward_function is not None,
                "It weighs the reward model beside a reward_function, and there is none. 0 is needed",
            ),
            "heldout_prompts": (
                self.heldout_prompts >= (4 if self.keep == "best" else 2),
                "An interval needs 2 or more, and so many again to choose by where keep is best",
            ),
            "heldout_answers": (self.heldout_answers >= 1, "1 or more is needed"),
            "look_every_updates": (self.look_every_updates >= 1, "1 or more is needed"),
            "training.temperature": (given.get("temperature", 0.7) > 0, "Sampling needs more than 0"),
            "training.missing_eos_penalty": (penalty is None or penalty > 0, "More than 0, or null, is needed"),
            "training.total_episodes": (episodes is None or episodes >= 1, "1 or more is needed"),
            "training.kl_estimator": (given.get("kl_estimator", "k1") in ("k1", "k3"), "k1 or k3 is needed"),
            "training.save_strategy": (
                given.get("save_strategy", "steps") in ("steps", "no"),
                "steps or no is needed: answers are sampled anew, so there are no epochs",
            ),
            "training.num_mini_batches": (
                parts >= 1 and batch % parts == 0,
                f"A divisor of the {batch} prompts in a process's batch is needed",
            ),
            "training.whiten_rewards": (
                not given.get("whiten_rewards") or batch // max(parts, 1) >= 8,
                f"Whitening needs mini-batches of 8 answers or more, not {batch // max(parts, 1)}",
            ),
        }
        told = reward_function_problems(self.reward_function, "ppo.reward_function") if self.reward_function else []
        return told + [
            f"ppo.{name}: {self._value(name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in rules.items()
            if not holds
        ]

    def _value(self, name: str) -> Any:
        where, _, key = name.rpartition(".")
        return self.training.get(key) if where else getattr(self, key)


@stage(makes="policy", reads=("chat", "reward", "corpus"), every_process=True)
def ppo(config: PPOStageConfig, *, chat: Path, reward: Path, corpus: Path, out: Path) -> None:
    """Raise the reward of a chat model's answers while it stays near where it was."""
    fields_of(config.UPSTREAM["training"])  # refuses a TRL that has no PPO any more
    from hftrain.alignment.heldout import compare
    from hftrain.alignment.ppo_start import ppo_run
    from hftrain.alignment.prompts import check_models, read_prompts
    from hftrain.models.loading import save_model
    from hftrain.runtime import is_main_process
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.loop import run_trainer

    seed = config.seed or 0
    check_models(chat, reward, max_prompt_tokens=config.max_prompt_tokens, new_tokens=config.new_tokens)
    tokenizer = load_tokenizer(chat)
    prompts = read_prompts(
        corpus,
        tokenizer,
        max_prompt_tokens=config.max_prompt_tokens,
        heldout_limit=config.heldout_prompts,
        seed=seed,
    )
    run = ppo_run(config, chat, reward, tokenizer, prompts, out, seed=seed)
    run_trainer(run.trainer, out, description="ppo")
    if is_main_process():
        chosen = run.keep.settle() if run.keep else {}
        save_model(run.trainer.policy, tokenizer, out)
        measured = compare(
            run.trainer.models,
            run.reported,
            run.trainer.sampling,
            answers_per_prompt=config.heldout_answers,
            seed=seed,
            score=run.score,
        )
        counts = {"train_prompts": len(prompts.train), "too_long_prompts": prompts.too_long}
        write_json(out / "summary.json", {**counts, **measured, **run.trainer.outcome(), "keep": config.keep, **chosen})
        write_json(out / "method.json", {"method": "ppo"})
        record_measured(out, **{name: median(each) for name, each in run.trainer.measured.items() if each})
