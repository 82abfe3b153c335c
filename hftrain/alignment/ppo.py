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
- the divergence from the reference model can be bounded (TRL only prices it).

Sources: PPO arXiv:1707.06347, GAE arXiv:1506.02438, the implementation details that TRL follows arXiv:2403.17031.
"""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object, patch_environment
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerFast, TrainerCallback

from hftrain.alignment import ppo_state
from hftrain.alignment.ppo_rollout import Models, Rollout, Sampling, roll_out
from hftrain.alignment.ppo_update import Update
from hftrain.alignment.reward import load_reward_model
from hftrain.errors import ConfigError
from hftrain.models.generation import left_padded
from hftrain.models.loading import load_causal_lm
from hftrain.runtime import log
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


def ppo_trainer(
    args: PPOConfig,
    chat: Path,
    reward: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    prompts: Sequence[list[int]],
    kl_budget: float | None,
    callbacks: list[TrainerCallback],
) -> "RepairedPPOTrainer":
    """A trainer of the model in ``chat``, with itself as reference, and a critic that starts as the reward model."""
    return RepairedPPOTrainer(
        args=args,
        kl_budget=kl_budget,
        processing_class=tokenizer,
        model=load_causal_lm(chat),
        ref_model=load_causal_lm(chat),
        reward_model=load_reward_model(reward),
        value_model=load_reward_model(reward),
        train_dataset=Dataset.from_dict({"input_ids": list(prompts)}),
        callbacks=callbacks,
    )


class RepairedPPOTrainer(PPOTrainer):
    """PPO by one process or by several that each hold the whole model.

    Args:
        args: TRL's arguments. An answer ends at the tokenizer's end token unless they name another.
        kl_budget: The most nats by which the policy's answers may diverge from the reference model, as the mean
            over one batch. Each policy is measured on its own answers before it is trained on them; one over the
            budget is given up: training ends, and the policy before it, measured to be within, takes its place.
            The policy of the last update is measured too. None sets no bound.
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

    def __init__(self, *, args: PPOConfig, kl_budget: float | None = None, **named: Any) -> None:
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
        self.kl_budget = kl_budget
        self.stopped_by: str | None = None
        self.policy_updates = 0
        self.policy_kl: float | None = None
        self.within_budget: dict[str, Tensor] = {}

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
            "episodes": self.policy_updates * self.args.batch_size,
            "stopped_by": self.stopped_by,
            "kl_budget": self.kl_budget,
            "train_kl": self.policy_kl,
        }

    def train(self, resume_from_checkpoint: str | None = None) -> None:
        """Train to ``total_episodes`` or until the KL budget is spent.

        Sets ``stopped_by``, ``policy_updates`` (how many updates made the policy that is left) and ``policy_kl``
        (its divergence as measured; None without a budget).

        Args:
            resume_from_checkpoint: A checkpoint of this trainer, to go on from.
        """
        self._begin(resume_from_checkpoint)
        while self.stopped_by is None:
            ended_by = self._ended_by()
            if ended_by and self.kl_budget is None:
                self.stopped_by = ended_by
                break
            rollout = self.roll_out(self.state.global_step + 1)
            if not self._hold_to_budget(rollout):
                self.stopped_by = "kl_budget"
            elif ended_by:
                self.stopped_by = ended_by
            else:
                self._finish_update(self.update(rollout))
        self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)

    def prompts(self, step: int) -> Tensor:
        """This process's prompts of one update, padded on the left. Shape (B, Q)."""
        args, local = self.args, self.args.local_batch_size
        rows = ppo_state.prompt_rows(
            step, batch_rows=args.batch_size, dataset_rows=self.train_dataset_len, seed=args.seed
        )[self.accelerator.process_index * local :][:local]
        prompts = [list(self.train_dataset[row]["input_ids"]) for row in rows]
        return left_padded(prompts, self.pad_token_id)[0].to(self.accelerator.device)

    def roll_out(self, step: int) -> Rollout:
        """This process's prompts of one update, answered and looked at."""
        with self.accelerator.autocast():
            return roll_out(self.models, self.prompts(step), self.sampling)

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Train policy and critic on one batch of answers; returns the update's numbers.

        Raises:
            ConfigError: Training has diverged.
        """
        update = Update(self.model, self.optimizer, self.accelerator, self.args, self.sampling)
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

    def _mean_of_all(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        mean: Tensor = self.accelerator.reduce(values, "mean")
        return mean

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
        self.log({**numbers, "episodes": state.episode, "learning_rate": self.lr_scheduler.get_last_lr()[0]})
        self.lr_scheduler.step()
        self.control = self.callback_handler.on_step_end(self.args, state, self.control)
        if self.control.should_save:
            self._save_checkpoint(self.model, trial=None)
            self.control = self.callback_handler.on_save(self.args, state, self.control)

    def _hold_to_budget(self, rollout: Rollout) -> bool:
        """Measure the policy that wrote these answers; if it went too far, put the one before it in its place."""
        if self.kl_budget is None:
            return True
        divergence = self._mean_of_all(rollout.divergence.mean()).item()
        if divergence <= self.kl_budget:
            self.policy_kl = divergence
            self.within_budget = {name: each.detach().clone() for name, each in self.policy.named_parameters()}
            return True
        with torch.no_grad():
            for name, parameter in self.policy.named_parameters():
                parameter.copy_(self.within_budget[name])
        self.policy_updates = self.state.global_step - 1
        log.info(
            "ppo: update %d brought the policy to %.2f nats, over its budget of %g; the one before it stays, at %.2f",
            *(self.state.global_step, divergence, self.kl_budget, self.policy_kl),
        )
        return False

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        random_states = gather_object([ppo_state.random_state()])
        if self.accelerator.is_main_process:
            state = self.state
            ppo_state.save_checkpoint(
                Path(self.args.output_dir),
                state.global_step,
                **self._saved,
                random_states=random_states,
                progress={"episodes": state.episode, "log_history": state.log_history, "policy_kl": self.policy_kl},
                tensors=self.within_budget,
            )
        self.accelerator.wait_for_everyone()

    def _load_checkpoint(self, folder: Path) -> None:
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        found = ppo_state.load_checkpoint(folder, **self._saved, process_rank=process, process_count=processes)
        self.state.global_step = self.policy_updates = found.step
        self.state.episode = found.progress["episodes"]
        self.state.epoch = self.state.episode / self.train_dataset_len
        self.state.log_history = found.progress["log_history"]
        self.policy_kl = found.progress["policy_kl"]
        self.within_budget = {name: each.to(self.accelerator.device) for name, each in found.tensors.items()}
        ppo_state.set_random_state(found.random_state)
