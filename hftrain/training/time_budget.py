"""A run that ends when its time is up, with its learning rate brought down: the schedule is planned as it goes.

The rate is constant after the warm-up (a trapezoid, or WSD: warm-up, stable, decay), so nothing that was learned
depends on how long the run will be. Once the time that is left is what the decay needs at the speed measured so far,
the last step is fixed, and the rate falls to its end in equal steps. The decision is written to disk before it is
acted on: a run that is killed and goes on makes the same steps.

Source: Hägele et al. 2024, arXiv:2405.18392 (constant rate with cooldown; a linear one over 20 % and more serves).
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hftrain.files import read_json, write_json
from hftrain.runtime import from_main_process, is_main_process, log

WITHOUT_END_STEPS = 10_000_000
"""What upstream is told to take; the plan ends it long before."""

MEASURED_FROM_STEPS = 10
"""Steps before a speed is believed: the first ones are slower."""

DECISION_EVERY_STEPS = 5
"""How often the clock is asked: the processes of a job agree on it by a message."""

PLANNED_SHARE = 0.98
"""Share of the time left that is planned with, for a machine that slows down."""


@dataclass
class Spent:
    """What a run that goes on needs to know of the parts before it."""

    seconds: float = 0.0
    """Spent up to the last checkpoint, preparation and looks included."""
    decay_from_step: int | None = None
    """The first step with a lower rate, once that is decided."""
    last_step: int | None = None


class TimeBudget(TrainerCallback):
    """Plans the decay and the end of a run by the clock."""

    def __init__(
        self, seconds: float, *, began: float, reserved_seconds: float, decay_share: float, folder: Path
    ) -> None:
        """Count from ``began`` on, and from what ``folder`` says of earlier parts of the run.

        Args:
            seconds: The whole of the budget.
            began: ``time.monotonic()`` when this part of the run began.
            reserved_seconds: For what comes after the last step.
            decay_share: Share of all steps in which the rate falls.
            folder: Holds ``time.json``, also once the process is gone.
        """
        self.seconds, self.began, self.decay_share = seconds, began, decay_share
        self.reserved_seconds = reserved_seconds
        self.path = folder / "time.json"
        self.spent = Spent(**read_json(self.path)) if self.path.is_file() else Spent()
        self._earlier_seconds = self.spent.seconds
        self._first_step = 0
        self._stepping_since = began

    def schedule(self, optimizer: Optimizer, *, warmup_steps: int, end_share: float) -> LambdaLR:
        """Warm-up, then the full rate until the decay is decided, then down to ``end_share`` of it.

        Step by step what upstream's ``warmup_stable_decay`` gives, with a linear decay, once that is known.
        """

        def share(step: int) -> float:
            if step < warmup_steps:
                return step / warmup_steps * (1 - end_share) + end_share
            first, last = self.spent.decay_from_step, self.spent.last_step
            if first is None or last is None or step < first:
                return 1.0
            return max(0.0, 1 - (step - first) / (last - first)) * (1 - end_share) + end_share

        return LambdaLR(optimizer, share)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take up the plan of an earlier part, if it was made."""
        self._first_step, self._stepping_since = state.global_step, time.monotonic()
        if self.spent.last_step is not None:
            state.max_steps = self.spent.last_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Decide, when it is time."""
        done = state.global_step - self._first_step
        if self.spent.last_step is not None or done < MEASURED_FROM_STEPS or done % DECISION_EVERY_STEPS:
            return
        left = from_main_process(self._steps_left(done))
        state.max_steps = state.global_step + max(1, left)
        if left <= self.decay_share * (state.global_step + left):
            self.spent.decay_from_step, self.spent.last_step = state.global_step, state.max_steps
            if is_main_process():
                self._write()
            log.info(
                "%.0f s of %.0f left: the learning rate falls from step %d to step %d, the last",
                self.seconds - self._seconds_so_far(), self.seconds, state.global_step, state.max_steps,
            )  # fmt: skip

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remember with the checkpoint what was spent up to it."""
        self.spent.seconds = self._seconds_so_far()
        if is_main_process():
            self._write()

    def _steps_left(self, done: int) -> int:
        now = time.monotonic()
        seconds_per_step = (now - self._stepping_since) / done
        left = self.seconds - self.reserved_seconds - self._seconds_so_far()
        return int(PLANNED_SHARE * left / seconds_per_step)

    def _seconds_so_far(self) -> float:
        return self._earlier_seconds + time.monotonic() - self.began

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, asdict(self.spent))
