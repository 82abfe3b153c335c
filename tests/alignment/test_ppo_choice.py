from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hftrain.alignment import ppo_choice
from hftrain.alignment.ppo_choice import KeepBest, best_look


def a_look(step: int, reward: float, kl: float) -> dict[str, float]:
    return {"step": step, "heldout_objective": reward, "heldout_kl": kl}


def test_the_highest_reward_within_the_budget_is_the_best() -> None:
    looks = [a_look(0, 0.0, 0.0), a_look(8, 1.0, 2.0), a_look(16, 2.0, 4.0), a_look(24, 3.0, 9.0)]
    assert best_look(looks, 5.0)["step"] == 16
    assert best_look(looks, None)["step"] == 24
    assert best_look(looks, 1.0)["step"] == 0


def test_the_earlier_of_two_like_policies_is_the_better() -> None:
    assert best_look([a_look(8, 1.0, 2.0), a_look(16, 1.0, 2.0)], 5.0)["step"] == 8


class Training:
    """A trainer of one number, and looks at it whose rewards are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, rewards: dict[int, float]) -> None:
        self.policy = torch.nn.Linear(1, 1, bias=False)
        self.state = SimpleNamespace(global_step=0, log_history=[])
        self.kl = SimpleNamespace(budget=5.0)
        self.models = self.sampling = None
        self.policy_updates = 0
        self.rewards = rewards
        monkeypatch.setattr(ppo_choice, "look", self.look)
        self.keep = KeepBest(lambda _: ({}, []), folder, [[1], [2]], answers_per_prompt=1, seed=0)
        self.keep.trainer = self

    def look(self, *_: Any, **__: Any) -> Any:
        reward = torch.tensor([[self.rewards[self.policy_updates]]])
        return SimpleNamespace(rewards=reward, divergences=torch.ones(1, 1), numbers=lambda: {"entropy": 1.0})

    def reach(self, step: int) -> None:
        self.state.global_step = self.policy_updates = step
        torch.nn.init.constant_(self.policy.weight, float(step))

    def reach_and_look(self, step: int) -> None:
        self.reach(step)
        numbers, _ = self.keep(self)
        self.state.log_history.append({"step": step, **numbers})

    def settled_on(self) -> tuple[int, float]:
        chosen = self.keep.settle()
        return int(str(chosen["kept_updates"])), self.policy.weight.item()


@pytest.mark.parametrize(
    ("rewards", "best"),
    [({0: 0.0, 2: 3.0, 4: 1.0}, 2), ({0: 9.0, 2: 3.0, 4: 1.0}, 0), ({0: 0.0, 2: 3.0, 4: 5.0}, 4)],
)
def test_the_best_policy_comes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rewards: dict[int, float], best: int
) -> None:
    training = Training(monkeypatch, tmp_path, rewards)
    for step in rewards:
        training.reach_and_look(step)
    assert training.settled_on() == (best, best)


def test_a_policy_between_two_looks_is_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Update 4 spent the budget and gave way to 3, whose reward is the highest."""
    training = Training(monkeypatch, tmp_path, {0: 0.0, 2: 3.0, 3: 4.0, 4: 3.5})
    for step in (0, 2, 4):
        training.reach_and_look(step)
    training.reach(3)
    assert training.settled_on() == (3, 3.0)


def test_a_policy_that_was_given_up_is_not_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The weights of update 2 are still there, though those of 4 were the best of their time."""
    training = Training(monkeypatch, tmp_path, {0: 0.0, 2: 3.0, 3: 1.0, 4: 9.0})
    for step in (0, 2, 4):
        training.reach_and_look(step)
    training.reach(3)
    assert training.settled_on() == (2, 2.0)


def test_two_files_of_weights_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    training = Training(monkeypatch, tmp_path, {step: float(step) for step in range(0, 12, 2)})
    for step in range(0, 12, 2):
        training.reach_and_look(step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy-10.safetensors", "policy-8.safetensors"]
