import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hftrain.alignment.ppo_state import (
    load_checkpoint,
    prompt_rows,
    random_state,
    save_checkpoint,
    set_random_state,
)
from hftrain.errors import ArtifactError
from hftrain.training.callbacks import checkpoints_in


def rows(step: int, *, seed: int = 0) -> list[int]:
    return prompt_rows(step, batch_rows=4, dataset_rows=6, seed=seed)


def test_each_pass_reads_every_prompt_once() -> None:
    stream = [row for step in (1, 2, 3) for row in rows(step)]
    assert sorted(stream[:6]) == sorted(stream[6:]) == list(range(6))
    assert stream[:6] != stream[6:]


def test_an_update_reads_the_same_prompts_whatever_came_before() -> None:
    assert rows(3) == rows(3)
    assert rows(3) != rows(3, seed=1)


def test_a_batch_larger_than_the_dataset_repeats_prompts() -> None:
    batch = prompt_rows(1, batch_rows=5, dataset_rows=2, seed=0)
    assert sorted(batch) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])


def draws() -> list[float]:
    return [random.random(), float(np.random.random()), torch.rand(()).item(), random.gauss(0, 1), np.random.randn()]


def test_all_generators_go_on_from_a_saved_state(tmp_path: Path) -> None:
    random.gauss(0, 1)
    np.random.randn()  # leaves a second normal number in waiting
    torch.save(random_state(), tmp_path / "state.pt")
    expected = draws()
    draws()
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draws() == expected


def save(folder: Path, step: int, *, model: Any = None, processes: int = 1) -> Any:
    model = model or torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_checkpoint(
        folder,
        step,
        modules={"policy": model},
        stateful={"optimizer": optimizer},
        random_states=[random_state()] * processes,
        progress={"episodes": 7},
        tensors={"extra": torch.tensor([1.5])},
    )
    return model, optimizer


def load(folder: Path, *, model: Any = None, optimizer: Any = None) -> Any:
    model = model or torch.nn.Linear(2, 2)
    optimizer = optimizer or torch.optim.AdamW(model.parameters())
    given = {"modules": {"policy": model}, "stateful": {"optimizer": optimizer}}
    return load_checkpoint(folder, **given, process_rank=0, process_count=1), model, optimizer


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    model, optimizer = save(tmp_path, 3)
    found, other, other_optimizer = load(tmp_path / "checkpoint-3")
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(
        other_optimizer.state_dict()["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"]
    )
    assert (found.step, found.progress, found.tensors["extra"].item()) == (3, {"episodes": 7}, 1.5)


def test_weights_that_two_parts_share_are_saved_once_and_stay_shared(tmp_path: Path) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(inputs))

    model, _ = save(tmp_path, 1, model=Tied())
    _, other, _ = load(tmp_path / "checkpoint-1", model=Tied())
    assert torch.equal(other.second.weight, model.first.weight)
    assert other.second.weight is other.first.weight


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (2, 9, 10):
        save(tmp_path, step)
    assert [path.name for path in checkpoints_in(tmp_path)] == ["checkpoint-9", "checkpoint-10"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_half_written_checkpoint_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 2)
    assert [path.name for path in checkpoints_in(tmp_path)] == ["checkpoint-1"]
    save(tmp_path, 2)
    assert [path.name for path in checkpoints_in(tmp_path)] == ["checkpoint-1", "checkpoint-2"]
    assert load(tmp_path / "checkpoint-2")[0].step == 2


def test_writing_a_checkpoint_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1)
    model, _ = save(tmp_path, 1)
    assert torch.equal(load(tmp_path / "checkpoint-1")[1].weight, model.weight)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 1, processes=2)
    with pytest.raises(ArtifactError, match="written by 2 processes; now there are 1"):
        load(tmp_path / "checkpoint-1")


def test_no_code_is_run_by_reading_a_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    torch.save({"stateful": Path, "random": []}, tmp_path / "checkpoint-1" / "state.pt")
    with pytest.raises(Exception, match="weights_only|Weights only"):
        load(tmp_path / "checkpoint-1")
