from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.optimization import get_wsd_schedule

from hftrain.files import read_json
from hftrain.training import time_budget
from hftrain.training.time_budget import TimeBudget


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the budget looks at."""
    made = Clock()
    monkeypatch.setattr(time_budget, "time", made)
    return made


def run(
    budget: TimeBudget, clock: Clock, seconds_per_step: float, *, from_step: int = 0, until: int = 10_000
) -> TrainerState:
    """Take steps until the budget's last one, or as many as are wanted."""
    args, state, control = TrainingArguments(use_cpu=True), TrainerState(global_step=from_step), TrainerControl()
    state.max_steps = 10_000
    budget.on_train_begin(args, state, control)
    while state.global_step < min(state.max_steps, until):
        clock.now += seconds_per_step
        state.global_step += 1
        budget.on_step_end(args, state, control)
    return state


def test_a_run_ends_in_its_time_with_its_last_steps_in_the_decay(clock: Clock, tmp_path: Path) -> None:
    budget = TimeBudget(60, began=90.0, reserved_seconds=5, decay_share=0.25, folder=tmp_path)
    state = run(budget, clock, 0.1)
    assert 54 < clock.now - 90 <= 55  # 60 seconds less 5
    assert budget.spent.last_step == state.global_step
    first = budget.spent.decay_from_step
    assert first is not None and (state.global_step - first) / state.global_step == pytest.approx(0.25, abs=0.02)
    assert read_json(tmp_path / "time.json")["last_step"] == state.global_step


def test_a_slower_machine_takes_fewer_steps(clock: Clock, tmp_path: Path) -> None:
    budgets = [
        TimeBudget(60, began=clock.now, reserved_seconds=0, decay_share=0.25, folder=tmp_path / name) for name in "ab"
    ]
    fast = run(budgets[0], clock, 0.1).global_step
    budgets[1].began = clock.now
    slow = run(budgets[1], clock, 0.2).global_step
    assert fast == pytest.approx(2 * slow, rel=0.02)


def test_a_run_that_goes_on_keeps_the_end_that_was_decided_and_the_time_that_was_spent(
    clock: Clock, tmp_path: Path
) -> None:
    first = TimeBudget(60, began=100.0, reserved_seconds=0, decay_share=0.5, folder=tmp_path)
    run(first, clock, 0.1, until=400)
    first.on_save(TrainingArguments(use_cpu=True), TrainerState(), TrainerControl())
    clock.now += 1000  # the machine was off
    again = TimeBudget(60, began=clock.now, reserved_seconds=0, decay_share=0.5, folder=tmp_path)
    assert again.spent.seconds == pytest.approx(40)
    assert run(again, clock, 5.0, from_step=400).global_step == first.spent.last_step


def test_the_rates_are_those_of_upstream_once_the_decay_is_known(clock: Clock, tmp_path: Path) -> None:
    def rates(make: Any) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        schedule = make(optimizer)
        found = []
        for _ in range(100):
            found.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return found

    budget = TimeBudget(60, began=clock.now, reserved_seconds=0, decay_share=0.5, folder=tmp_path)
    budget.spent.decay_from_step, budget.spent.last_step = 70, 100
    ours = rates(lambda optimizer: budget.schedule(optimizer, warmup_steps=10, end_share=0.02))
    theirs = rates(
        lambda optimizer: get_wsd_schedule(
            optimizer, num_warmup_steps=10, num_decay_steps=30, num_training_steps=100, min_lr_ratio=0.02,
            warmup_type="linear", decay_type="linear",
        )
    )  # fmt: skip
    assert ours == pytest.approx(theirs)
    assert ours[9] < ours[10] == ours[69] == 0.5 and ours[99] < 0.03
