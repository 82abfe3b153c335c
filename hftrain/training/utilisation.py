"""How fast a run trains, and which share of the machine's own matrix product that is."""

import functools
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hftrain.files import read_json, write_json
from hftrain.runtime import device, is_main_process
from hftrain.training.flops import flops_per_token

CPU_SIDES = (512, 1024)
CUDA_SIDES = (8192,)
PROBE_SECONDS = 0.5
AGAIN_SECONDS = 0.1
"""For measuring again beside each checkpoint: what else ran at the start may be gone."""

FEWEST_TRIES = 3


def matrix_product_peak(dtype: torch.dtype = torch.float32, *, seconds: float = PROBE_SECONDS) -> float:
    """The most operations a second of a square matrix product, by this process's device and threads.

    A product of two S x S matrices counts 2 S^3 operations. The best of as many products as fit the time: what else
    runs on the machine only ever slows one down. The random state is left as it was.

    Args:
        dtype: The number type that training multiplies in.
        seconds: How long to try in all, after one product of each size that warms up.
    """
    where = device()
    sides = CUDA_SIDES if where.type == "cuda" else CPU_SIDES
    return max(_best_product(side, dtype, where, seconds / len(sides)) for side in sides)


def _best_product(side: int, dtype: torch.dtype, where: torch.device, seconds: float) -> float:
    left = torch.linspace(-1, 1, side * side, device=where).reshape(side, side).to(dtype)
    right = left.T.contiguous()
    took: list[float] = []
    until = time.monotonic() + seconds
    while len(took) <= FEWEST_TRIES or time.monotonic() < until:
        began = time.perf_counter()
        torch.matmul(left, right)
        if where.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return 2 * side**3 / min(took[1:])


@functools.cache
def peak_of_this_process(dtype: torch.dtype, threads: int) -> float:
    """The same, measured once a process, type and number of threads: stages that follow each other share it."""
    return matrix_product_peak(dtype)


def training_dtype(args: TrainingArguments) -> torch.dtype:
    """The number type that a training's products are made in."""
    return torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else torch.float32


def model_flops_utilisation(flops_per_token: float, tokens_per_second: float, peak: float) -> float:
    """Model FLOPs utilisation: F x R / P, the share of a bare matrix product's speed that training reaches.

    F operations a token (see `hftrain.training.flops`: attention in full, nothing for what is computed twice to save
    memory), R tokens a second, P operations a second of `matrix_product_peak`, measured in the same run.
    Source: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B; P there is the maker's figure.
    """
    return flops_per_token * tokens_per_second / peak


class Speed(TrainerCallback):
    """Add tokens/s, MFU and time left to each log line, for whoever else looks at it; none of it joins the history.

    The clock runs while steps are taken (reading their rows included) and stands while checkpoints are written and
    held-out text is scored. The time left counts all of it. First in the list of callbacks: those after it see what
    it adds.
    """

    def __init__(self, peak: float, *, dtype: torch.dtype, processes: int, scratch: Path) -> None:
        """Compare with ``peak`` operations a second of each process; keep the windows below ``scratch``.

        The peak is measured again beside each checkpoint, and the highest counts.
        """
        self.peak, self.dtype, self.processes, self.folder = peak, dtype, processes, scratch / "speed"
        self.began = self.mark = self.logged = self.spent = 0.0
        self.first_step = self.window_step = self.window_tokens = 0
        self.standing = True

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start where the run stands."""
        self.began = self.logged = time.monotonic()
        self.spent, self.standing = 0.0, True
        self.first_step = self.window_step = state.global_step
        self.window_tokens = state.num_input_tokens_seen

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Let the clock run again, if it stood."""
        if self.standing:
            self.mark, self.standing = time.monotonic(), False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Count the step's time."""
        now = time.monotonic()
        if not self.standing:
            self.spent, self.mark = self.spent + now - self.mark, now

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Let the clock stand."""
        self.standing = True
        self.peak = max(self.peak, matrix_product_peak(self.dtype, seconds=AGAIN_SECONDS))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Let the clock stand."""
        self.standing = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add what the steps since the last log line took."""
        steps = state.global_step - self.window_step
        if logs is None or "learning_rate" not in logs or steps < 1:
            return
        now = time.monotonic()
        spent = self.spent or now - self.logged  # TRL's PPO tells the ends of its updates alone, after their log line
        numbers = {"seconds_per_step": spent / steps}
        tokens = state.num_input_tokens_seen - self.window_tokens
        if tokens:
            rows = steps * args.train_batch_size * args.gradient_accumulation_steps * self.processes
            numbers["tokens_per_second"] = tokens / spent
            flops = flops_per_token(kwargs["model"], tokens / rows)
            numbers["flops_per_second"] = flops * tokens / spent
            numbers["mfu"] = model_flops_utilisation(flops, tokens / spent, self.peak * self.processes)
        if is_main_process():
            write_json(self.folder / f"{state.global_step:09d}.json", numbers)
        share = (state.max_steps - state.global_step) / (state.global_step - self.first_step)
        logs.update(numbers, eta_seconds=share * (now - self.began))
        self.window_step, self.window_tokens = state.global_step, state.num_input_tokens_seen
        self.logged, self.spent = now, 0.0

    def summary(self) -> Mapping[str, float]:
        """Medians over the windows of the whole run, those before a kill included, and the highest peak."""
        windows = [read_json(path) for path in sorted(self.folder.glob("*.json"))]
        names = ("seconds_per_step", "tokens_per_second", "flops_per_second")
        found = {name: [each[name] for each in windows if name in each] for name in names}
        medians = {name: median(values) for name, values in found.items() if values}
        if "flops_per_second" in medians:
            medians["mfu"] = medians["flops_per_second"] / (self.peak * self.processes)
        return {**medians, "matrix_product_flops_per_second": self.peak}
