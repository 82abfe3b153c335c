"""TRL's PPO trainer, repaired: the one place that knows ``trl.experimental``.

TRL 1.12.0 is the last release with a PPOTrainer. Kept are its arguments, its set-up and its objective. What
`RepairedPPOTrainer` repairs, each shown by a test that the plain class fails:

- ``max_grad_norm`` clips (TRL never reads it);
- ``num_mini_batches`` counts the optimizer steps under gradient accumulation too (TRL steps as if it were 1);
- an answer stops at its end token (TRL by default writes on, and scores and trains on what follows), and never
  has padding as one of its words;
- policy and critic are saved, by one process or by several;
- training goes on exactly where it was killed (TRL begins again);
- ``bf16`` and ``fp16`` are used (TRL makes its accelerator without them);
- fewer prompts than a batch are repeated (TRL waits for a full batch for ever);
- the divergence from the reference model can be bounded, and its price adapt (TRL's is fixed);
- a Python function can be the reward;
- on padding, on logits that nobody asks for and on rows that have ended no time is spent.

Sources: PPO arXiv:1707.06347, GAE arXiv:1506.02438, the implementation details that TRL follows arXiv:2403.17031.
"""

import functools
import math
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object, patch_environment
from torch import Tensor

from hftrain.alignment import ppo_state
from hftrain.alignment.ppo_kl import KLControl
from hftrain.alignment.ppo_reward import FunctionReward
from hftrain.alignment.ppo_rollout import Models, Rollout, Sampling, look_again, roll_out
from hftrain.alignment.ppo_update import Update
from hftrain.errors import ConfigError
from hftrain.models.generation import left_padded
from hftrain.training.arguments import training_arguments

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # that it is experimental is why this file is its only door

from trl.experimental.ppo import PPOConfig, PPOTrainer  # noqa: E402


def ppo_arguments(given: Mapping[str, Any], out: Path, *, new_tokens: int, seed: int) -> PPOConfig:
    """TRL's arguments: the given ones, and those that hftrain sets itself."""
    own: dict[str, Any] = {
        "response_length": new_tokens,
        "stop_token": "eos",
        "num_sample_generations": 0,
        "logging_steps": 1,
    }
    return training_arguments(PPOConfig, {**given, **own}, out, seed=seed, section="ppo")


class RepairedPPOTrainer(PPOTrainer):
    """PPO by one process or by several that each hold the whole model.

    Args:
        args: TRL's arguments. An answer ends at the tokenizer's end token unless they name another.
        kl_budget: The most nats by which the policy's answers may diverge from the reference model, as the mean
            over one batch. Each policy is measured on its own answers before it is trained on them; one over the
            budget is given up: training ends, and the policy before it, measured to be within, takes its place.
            The policy of the last update is measured too. None sets no bound.
        kl_target: Nats by which the policy shall diverge: the price of a nat, ``kl_coef`` at first, rises above it
            and falls below. None leaves it fixed.
        kl_horizon: How slowly the price adapts, in answers.
        function_reward: Scores the answers to the prompts of ``train_dataset``, in place of the reward model.
        named: The other arguments of TRL's class.

    Raises:
        ConfigError: DeepSpeed, FSDP or an adapter is asked for.
    """

    # TRL sets these with narrower types than the Trainer that it claims to be.
    args: Any
    state: Any
    control: Any
    processing_class: Any
    ref_model: Any
    lr_scheduler: Any
    train_dataset: Any

    def __init__(
        self,
        *,
        args: PPOConfig,
        kl_budget: float | None = None,
        kl_target: float | None = None,
        kl_horizon: float = 10_000,
        function_reward: FunctionReward | None = None,
        **named: Any,
    ) -> None:
        if args.stop_token is None and args.stop_token_id is None:
            args.stop_token = "eos"
        with warnings.catch_warnings(), patch_environment(accelerate_mixed_precision=args.mixed_precision):
            # TRL 1.12 reads a name that transformers 5.23 renamed.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            super().__init__(args=args, **named)
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or self.is_peft_model:
            raise ConfigError(
                "ppo: DeepSpeed, FSDP or an adapter is asked for. Each process holds the whole of every model here. "
                "Launch with torchrun or an accelerate config without them, and merge the adapter first."
            )
        self.accelerator.gradient_accumulation_steps = 1  # Update accumulates: it knows over how many
        self.pad_token_id: int = self.processing_class.pad_token_id
        both = self.accelerator.unwrap_model(self.model)
        both.forward = functools.partial(look_again, both.policy, both.value_model)
        self.kl = KLControl(args.kl_coef, budget=kl_budget, target=kl_target, horizon=kl_horizon)
        self.function_reward = function_reward
        self.measured: dict[str, list[float]] = {"samples_per_second": [], "tokens_per_second": []}
        self.stopped_by: str | None = None
        self.policy_updates = 0

    @property
    def policy(self) -> Any:
        """The policy, without what wraps and distributes it."""
        return self.accelerator.unwrap_model(self.model).policy

    @property
    def critic(self) -> Any:
        """The value model, without what wraps and distributes it."""
        return self.accelerator.unwrap_model(self.model).value_model

    @property
    def models(self) -> Models:
        """All who take part in a rollout."""
        return Models(self.policy, self.ref_model, self.reward_model, self.critic)

    @property
    def sampling(self) -> Sampling:
        """How the policy answers while it trains."""
        return Sampling(
            new_tokens=self.args.response_length,
            temperature=float(self.args.temperature) + 1e-7,
            end_token=self.stop_token_id,
            pad_token=self.pad_token_id,
            batch_rows=self.args.local_rollout_forward_batch_size,
        )

    def outcome(self) -> dict[str, object]:
        """How training ended: the updates and episodes behind the policy that is left, and what stopped it."""
        return {
            "updates": self.policy_updates,
            "trained_updates": self.state.global_step,
            "episodes": self.policy_updates * self.args.batch_size,
            "stopped_by": self.stopped_by,
            "kl_budget": self.kl.budget,
            "train_kl": self.kl.measured,
            "kl_coef": self.kl.coef,
        }

    def train(self, resume_from_checkpoint: str | None = None) -> None:
        """Train to ``total_episodes`` or until the KL budget is spent.

        Sets ``stopped_by``, ``policy_updates`` (how many updates made the policy that is left) and ``kl.measured``
        (its divergence; None without a budget).

        Args:
            resume_from_checkpoint: A checkpoint of this trainer, to go on from.
        """
        self._begin(resume_from_checkpoint)
        while self.stopped_by is None:
            began = time.monotonic()
            ended_by = self._ended_by()
            if ended_by and self.kl.budget is None:
                self.stopped_by = ended_by
                break
            rollout = self.roll_out(self.state.global_step + 1)
            if not self._hold_to_budget(rollout):
                self.stopped_by = "kl_budget"
            elif ended_by:
                self.stopped_by = ended_by
            else:
                numbers = self.update(rollout)
                self._clock(rollout, time.monotonic() - began)
                self._finish_update(numbers)
        self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)

    def prompt_rows(self, step: int) -> list[int]:
        """Which rows of the dataset this process's prompts of one update are."""
        args, local = self.args, self.args.local_batch_size
        rows = ppo_state.prompt_rows(
            step, batch_rows=args.batch_size, dataset_rows=self.train_dataset_len, seed=args.seed
        )
        return rows[self.accelerator.process_index * local :][:local]

    def prompts(self, step: int) -> Tensor:
        """This process's prompts of one update, padded on the left. Shape (B, Q)."""
        prompts = [list(self.train_dataset[row]["input_ids"]) for row in self.prompt_rows(step)]
        return left_padded(prompts, self.pad_token_id)[0].to(self.accelerator.device)

    def roll_out(self, step: int) -> Rollout:
        """This process's prompts of one update, answered, looked at and scored."""
        given = self.function_reward
        models = self.models if given is None or given.reward_model_weight else replace(self.models, reward=None)
        with self.accelerator.autocast():
            rollout = roll_out(models, self.prompts(step), self.sampling)
        return rollout if given is None else given.score(rollout, self.prompt_rows(step))

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Train policy and critic on one batch of answers; returns the update's numbers.

        Raises:
            ConfigError: Training has diverged.
        """
        update = Update(self.model, self.optimizer, self.accelerator, self.args, self.sampling, self.kl.coef)
        numbers = update.run(rollout)
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise ConfigError(
                    f"ppo.training: {name} is {value} in update {self.state.global_step + 1}. Finite "
                    "numbers are needed: training has diverged. Lower learning_rate or max_grad_norm."
                )
        return numbers

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the policy and its tokenizer as plain transformers does, on rank 0."""
        if self.accelerator.is_main_process:
            self.policy.save_pretrained(output_dir or self.args.output_dir)
            self.processing_class.save_pretrained(output_dir or self.args.output_dir)
        self.accelerator.wait_for_everyone()

    @property
    def _saved(self) -> dict[str, Mapping[str, Any]]:
        stateful = {"optimizer": self.optimizer, "scheduler": self.lr_scheduler, "scaler": self.accelerator.scaler}
        return {
            "modules": {"policy": self.policy, "critic": self.critic},
            "stateful": {name: each for name, each in stateful.items() if each is not None},
        }

    def _begin(self, checkpoint: str | None) -> None:
        args, state = self.args, self.state
        state.max_steps = args.num_total_batches
        state.num_train_epochs = args.total_episodes / self.train_dataset_len
        state.compute_steps(args, state.max_steps)
        for model in (self.policy, self.critic):
            if args.activation_checkpointing:
                model.activation_checkpointing_enable(args.activation_checkpointing_kwargs)
            # Gradients flow in either mode. Rollouts are written without dropout, so updates go without it too.
            model.train(args.activation_checkpointing)
        if checkpoint:
            self._load_checkpoint(Path(checkpoint))
        self.control = self.callback_handler.on_train_begin(args, state, self.control)

    def _ended_by(self) -> str | None:
        if self.state.global_step >= self.state.max_steps:
            return "total_episodes"
        return "callback" if self.control.should_training_stop else None

    def _finish_update(self, numbers: Mapping[str, float]) -> None:
        state = self.state
        state.global_step += 1
        state.episode += self.args.batch_size
        state.epoch = state.episode / self.train_dataset_len
        self.policy_updates = state.global_step
        learning_rate = self.lr_scheduler.get_last_lr()[0]
        self.log({**numbers, "episodes": state.episode, "kl_coef": self.kl.coef, "learning_rate": learning_rate})
        self.kl.adapt(numbers["kl"], self.args.batch_size)
        self.lr_scheduler.step()
        self.control = self.callback_handler.on_step_end(self.args, state, self.control)
        if self.control.should_save:
            self._save_checkpoint(self.model, trial=None)
            self.control = self.callback_handler.on_save(self.args, state, self.control)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep an update's numbers; whoever listens hears its speed too, which no two runs have in common."""
        self.state.log_history.append({**logs, "step": self.state.global_step})
        speed = {name: values[-1] for name, values in self.measured.items() if values}
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, {**logs, **speed})

    def _clock(self, rollout: Rollout, seconds: float) -> None:
        """Note how fast an update was, over all processes: answers, and tokens of prompts and answers."""
        processes = self.accelerator.num_processes
        tokens = int((rollout.tokens != self.pad_token_id).sum())
        self.measured["samples_per_second"].append(processes * len(rollout.tokens) / seconds)
        self.measured["tokens_per_second"].append(processes * tokens / seconds)

    def _hold_to_budget(self, rollout: Rollout) -> bool:
        """Measure the policy that wrote these answers; if it went too far, put the one before it in its place."""
        divergence = self.accelerator.reduce(rollout.divergence.mean(), "mean").item()
        is_within = self.kl.holds(self.policy, divergence, self.state.global_step)
        if not is_within:
            self.policy_updates = self.state.global_step - 1
        return is_within

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        random_states = gather_object([ppo_state.random_state()])
        if self.accelerator.is_main_process:
            state = self.state
            ppo_state.save_checkpoint(
                Path(self.args.output_dir),
                state.global_step,
                **self._saved,
                random_states=random_states,
                progress={"episodes": state.episode, "log_history": state.log_history, "kl": self.kl.state()},
                tensors=self.kl.within,
            )
        self.accelerator.wait_for_everyone()

    def _load_checkpoint(self, folder: Path) -> None:
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        found = ppo_state.load_checkpoint(folder, **self._saved, process_rank=process, process_count=processes)
        self.state.global_step = self.policy_updates = found.step
        self.state.episode = found.progress["episodes"]
        self.state.epoch = self.state.episode / self.train_dataset_len
        self.state.log_history = found.progress["log_history"]
        within = {name: each.to(self.accelerator.device) for name, each in found.tensors.items()}
        self.kl.restore(found.progress["kl"], within)
        ppo_state.set_random_state(found.random_state)
