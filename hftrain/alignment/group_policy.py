"""A policy that writes several answers to each prompt and learns from how their rewards differ: GRPO and RLOO.

`GroupRollouts` goes before one of TRL's two trainers and repairs what TRL 1.12 leaves open, each shown by a test that
the plain class fails:

- prompts are read as `hftrain.tokens.chat` reads them: a special token that someone typed stays text;
- an answer never has padding as one of its words (TRL can draw it, and counts an answer that ends in it as ended);
- training goes on exactly where it was killed in a later pass over the prompts too (TRL begins that pass in the order
  of the first), and between two updates on the same answers (TRL writes new ones);
- the divergence from the chat model can be bounded (TRL only prices it).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Sampler
from transformers import PreTrainedModel, TrainerCallback

from hftrain.alignment.ppo_rollout import Models, roll_out
from hftrain.alignment.ppo_sampling import Sampling, Written, write_answers
from hftrain.alignment.upstream_names import old_names_allowed
from hftrain.models.generation import left_padded
from hftrain.runtime import is_main_process, log, process_rank
from hftrain.tokens.chat import encode_prompt

BATCH_ROWS = 64
"""Answers written at a time."""
WITHIN_BUDGET = "within_budget.safetensors"


class ByEpoch(Sampler[int]):
    """TRL's sampler, each pass in an order that follows from the seed and the pass alone."""

    def __init__(self, upstream: Any, *, seed: int, epoch: Callable[[], int]) -> None:
        """Ask ``epoch()`` when a pass begins."""
        self.upstream, self.seed, self.epoch = upstream, seed, epoch

    def __iter__(self) -> Iterator[int]:
        if self.upstream.shuffle:
            self.upstream.generator.manual_seed(self.seed + self.epoch())
        return iter(self.upstream)

    def __len__(self) -> int:
        return len(self.upstream)


class GroupRollouts:
    """Before TRL's GRPOTrainer or RLOOTrainer: exact resume, exact tokens, and a bound on the divergence."""

    args: Any
    state: Any
    model: Any
    accelerator: Any
    processing_class: Any
    _metrics: Any
    _step: int
    _buffered_inputs: list[dict[str, Any]] | None

    kl_budget: float | None = None
    """The most nats by which answers may diverge from the reference model, as the mean over one batch of them."""
    is_over = False
    kl: float | None = None
    """The divergence of the policy that is left, as it was measured."""
    updates = 0
    """Updates behind the policy that is left."""
    within_budget: Mapping[str, Tensor] = {}

    gives_log_probs = True
    """Whether TRL's trainer hands log-probabilities on from where it generates: GRPO does, RLOO does not."""
    _written: Written | None = None

    def train(self, *given: Any, **named: Any) -> Any:
        """Train as upstream does."""
        with old_names_allowed():
            return super().train(*given, **named)  # type: ignore[misc]

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [encode_prompt(self.processing_class, prompt) for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *more: Any, **named: Any) -> Any:
        self._written = None
        if not self._samples_plainly():
            return super()._generate_single_turn(prompt_ids, *more, **named)  # type: ignore[misc]
        how = Sampling(
            new_tokens=self.args.max_completion_length,
            temperature=self.args.temperature,
            end_token=self.processing_class.eos_token_id,
            pad_token=self.processing_class.pad_token_id,
            batch_rows=BATCH_ROWS,
        )
        prompts = left_padded(prompt_ids, how.pad_token)[0].to(self.accelerator.device)
        self._written = write_answers(self._policy, prompts, how)
        lasts = self._written.last(how.pad_token).tolist()
        answers = [ids[: last + 1] for ids, last in zip(self._written.answers.tolist(), lasts, strict=True)]
        return (answers, None) if self.gives_log_probs else answers

    def _samples_plainly(self) -> bool:
        """Whether answers come from the whole distribution of a model that is whole: hftrain writes them faster."""
        args, upstream = self.args, cast(Any, self)
        other = args.use_vllm or args.use_transformers_continuous_batching or args.cache_implementation
        cut = args.top_k or args.top_p != 1.0 or args.min_p or args.repetition_penalty != 1.0
        return not (other or cut or upstream.is_fsdp_enabled or upstream.is_deepspeed_enabled)

    def _get_train_sampler(self, dataset: Any = None) -> ByEpoch:
        upstream = super()._get_train_sampler(dataset)  # type: ignore[misc]
        return ByEpoch(upstream, seed=self.args.seed, epoch=lambda: int(self.state.epoch or 0))

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        answers: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if self.args.beta and self.model.training:
            kl = self._divergence(answers)
            self._metrics["train"]["answer_kl"].append(kl)
            self._hold_to_budget(kl)
        return answers

    def _divergence(self, answers: Mapping[str, Any]) -> float:
        """KL(policy || reference) by these answers, over all processes: mean of sum_t log pi - log pi_ref, in nats."""
        mask = answers["completion_mask"]
        if "ref_per_token_logps" not in answers:  # RLOO tells the mean over all tokens
            told = self._metrics["train"]
            return float(told["kl"][-1] * told["completions/mean_length"][-1])
        now: Any = self._written.log_probs if self._written is not None else None
        if now is None and (now := answers.get("old_per_token_logps")) is None:
            tokens = torch.cat([answers["prompt_ids"], answers["completion_ids"]], 1)
            seen = torch.cat([answers["prompt_mask"], mask], 1)
            rows = self.args.per_device_train_batch_size
            with torch.no_grad():
                now, *_ = cast(Any, self)._get_per_token_logps_and_entropies(
                    self.model, tokens, seen, mask.shape[1], batch_size=rows
                )
        width = now.shape[1]  # TRL may have padded the answers further
        nats = ((now - answers["ref_per_token_logps"][:, :width]) * mask[:, :width]).sum(1).mean()
        return float(self.accelerator.reduce(nats, "mean"))

    def _hold_to_budget(self, kl: float) -> bool:
        """Keep the policy if it is within its budget; otherwise note that it is to be given up."""
        if self.kl_budget is None:
            return True
        self.is_over = kl > self.kl_budget
        if not self.is_over:
            self.kl, self.updates = kl, self.state.global_step
            self.within_budget = {name: each.detach().clone() for name, each in self._policy.named_parameters()}
        return not self.is_over

    @property
    def _policy(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    def give_up(self) -> None:
        """Put the last policy that was within the budget in the place of the one that is not."""
        with torch.no_grad():
            for name, parameter in self._policy.named_parameters():
                parameter.copy_(self.within_budget[name])
        log.info("the policy passed its budget of %g nats; the one before it stays, at %.2f", self.kl_budget, self.kl)

    def check_last(self, prompts: Sequence[list[int]], reference: PreTrainedModel, how: Sampling) -> None:
        """Measure the policy of the last update, which no batch has measured, on some training prompts."""
        if self.kl_budget is None or self.is_over or not self.args.beta:
            return
        rows = prompts[: self.args.generation_batch_size]
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            batch = left_padded(rows, how.pad_token)[0].to(self._policy.device)
            seen = roll_out(Models(self._policy, reference, None), batch, how)
        if not self._hold_to_budget(seen.divergence.mean().item()):
            self.give_up()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log under the names that PPO logs under; seconds are no content."""
        told = self._metrics["train"]
        told.pop("step_time", None)
        for name, ours in (("kl", "token_kl"), ("answer_kl", "kl"), ("completions/mean_length", "answer_tokens")):
            if name in told:
                told[ours] = told.pop(name)
        if "completions/clipped_ratio" in told:
            told["ended_share"] = [1 - share for share in told.pop("completions/clipped_ratio")]
        super().log(logs, start_time)  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        flat = {
            f"{place}.{name}": value.detach().contiguous().clone()
            for place, part in enumerate(self._buffered_inputs or [])
            for name, value in part.items()
            if isinstance(value, Tensor)
        }
        save_file(flat, str(folder / f"answers_{process_rank()}.safetensors"), {"step": str(self._step)})
        if self.within_budget and is_main_process():
            about = {"kl": repr(self.kl), "updates": str(self.updates), "is_over": str(int(self.is_over))}
            save_file(dict(self.within_budget), str(folder / WITHIN_BUDGET), about)

    def _load_from_checkpoint(self, folder: str, model: Any = None) -> None:
        super()._load_from_checkpoint(folder, model)  # type: ignore[misc]
        flat, about = _read_tensors(Path(folder) / f"answers_{process_rank()}.safetensors", self.accelerator.device)
        self._step = int(about["step"])
        parts: dict[int, dict[str, Any]] = {}
        for name, value in flat.items():
            place, _, key = name.partition(".")
            parts.setdefault(int(place), {})[key] = value
        self._buffered_inputs = [parts[place] for place in sorted(parts)] or None
        if (Path(folder) / WITHIN_BUDGET).is_file():
            self.within_budget, about = _read_tensors(Path(folder) / WITHIN_BUDGET, self.accelerator.device)
            self.kl, self.updates = float(about["kl"]), int(about["updates"])
            self.is_over = about["is_over"] == "1"


class StopOverBudget(TrainerCallback):
    """End training after the step whose policy was over its budget; what that step learned is given up."""

    trainer: Any = None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Put the policy within the budget back; no step is left."""
        if self.trainer.is_over:
            self.trainer.give_up()
            state.max_steps = state.global_step
            control.should_training_stop = True


def _read_tensors(path: Path, device: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name).to(device) for name in file.keys()}, file.metadata()  # noqa: SIM118
