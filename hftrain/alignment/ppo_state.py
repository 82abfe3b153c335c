"""What PPO needs to go on exactly where it was killed: the order of prompts, random states, checkpoints.

A checkpoint is a folder ``checkpoint-N`` that appears by one rename: whoever finds the name finds all that was
to be written. It holds safetensors, JSON, and one file that ``torch.load`` reads with
``weights_only=True``: nothing in it can run code.
"""

import contextlib
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from hftrain.errors import ArtifactError
from hftrain.files import read_json, write_json
from hftrain.training.callbacks import KEPT_CHECKPOINTS, checkpoints_in, mark_complete

RandomState = dict[str, Any]


def prompt_rows(step: int, *, batch_rows: int, dataset_rows: int, seed: int) -> list[int]:
    """The dataset rows of one update's batch, over all processes; a function of its arguments alone.

    Updates read one endless stream of shuffled passes over the dataset, so a batch may cross from one pass into
    the next and may be larger than the dataset.

    Args:
        step: The update, from 1.
        batch_rows: Prompts in each update's batch.
        dataset_rows: Prompts in the dataset.
        seed: Seed of the order.
    """
    rows: list[int] = []
    position = (step - 1) * batch_rows
    while len(rows) < batch_rows:
        number, start = divmod(position, dataset_rows)
        generator = torch.Generator().manual_seed(seed + number)
        order = torch.randperm(dataset_rows, generator=generator).tolist()
        taken = order[start : start + batch_rows - len(rows)]
        rows += taken
        position += len(taken)
    return rows


def random_state() -> RandomState:
    """The states of every generator of this process that sampling and shuffling draw from."""
    name, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_state(state: RandomState) -> None:
    """Put every generator back to where `random_state` saw it."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint gives back beside the weights, which go straight into their modules."""

    step: int
    progress: dict[str, Any]
    """What was saved beside the step: counters and log history, plain JSON."""
    random_state: RandomState
    """This process's generators."""
    tensors: dict[str, Tensor]
    """The extra tensors that were saved; empty if none were."""


def save_checkpoint(
    scratch: Path,
    step: int,
    *,
    modules: Mapping[str, nn.Module],
    stateful: Mapping[str, Any],
    random_states: list[RandomState],
    progress: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> Path:
    """Write ``scratch/checkpoint-<step>`` whole or not at all, then drop all but the newest few.

    Args:
        scratch: Folder of the checkpoints.
        step: Number in the checkpoint's name.
        modules: Saved as ``<name>.safetensors``; shared tensors are written once.
        stateful: Optimizer, scheduler: anything with ``state_dict``.
        random_states: One per process, by rank.
        progress: Plain JSON, finite numbers only.
        tensors: Further tensors that share no memory.
    """
    target = scratch / f"checkpoint-{step}"
    with _written_whole(target) as folder:
        for name, module in modules.items():
            save_model(module, str(folder / f"{name}.safetensors"))
        save_file(dict(tensors), str(folder / "tensors.safetensors"))
        states = {name: each.state_dict() for name, each in stateful.items()}
        torch.save({"stateful": states, "random": random_states}, folder / "state.pt")
        write_json(folder / "progress.json", {**progress, "step": step})
        mark_complete(folder)
    for old in checkpoints_in(scratch)[:-KEPT_CHECKPOINTS]:
        _remove(old)
    return target


def load_checkpoint(
    folder: Path,
    *,
    modules: Mapping[str, nn.Module],
    stateful: Mapping[str, Any],
    process_rank: int,
    process_count: int,
) -> Checkpoint:
    """Fill modules, optimizer and scheduler from a checkpoint.

    Raises:
        ArtifactError: Another number of processes wrote it.
    """
    states = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
    if len(states["random"]) != process_count:
        raise ArtifactError(
            f"{folder}: was written by {len(states['random'])} processes; now there are {process_count}. "
            "To go on exactly, the number must stay. Launch as many as before, or use --force to begin again."
        )
    for name, module in modules.items():
        load_model(module, str(folder / f"{name}.safetensors"))
    for name, each in stateful.items():
        each.load_state_dict(states["stateful"][name])
    progress = read_json(folder / "progress.json")
    return Checkpoint(
        step=progress.pop("step"),
        progress=progress,
        random_state=states["random"][process_rank],
        tensors=load_file(str(folder / "tensors.safetensors")),
    )


@contextlib.contextmanager
def _written_whole(target: Path) -> Iterator[Path]:
    """A fresh folder under another name, which takes the target's name once the block is done."""
    partial = target.with_name(f"partial-{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    if target.exists():
        _remove(target)
    os.replace(partial, target)


def _remove(checkpoint: Path) -> None:
    """Delete a checkpoint; killed halfway, what is left of it no longer has a checkpoint's name."""
    going = checkpoint.with_name(f"old-{checkpoint.name}")
    shutil.rmtree(going, ignore_errors=True)
    os.replace(checkpoint, going)
    shutil.rmtree(going, ignore_errors=True)
