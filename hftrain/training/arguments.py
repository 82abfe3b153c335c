"""Upstream's training arguments from what a configuration gives, with what a CPU needs."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainingArguments

from hftrain.errors import ConfigError
from hftrain.launch import check_joined
from hftrain.runtime import process_count

Arguments = TypeVar("Arguments", bound=TrainingArguments)

DEFAULTS: Mapping[str, Any] = {
    "report_to": "none",
    "logging_steps": 10,
    "save_steps": 100,
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
    "ddp_find_unused_parameters": False,
}

# TRL switches both on; on a CPU without native bf16 they make a step several times slower.
# Source: https://github.com/huggingface/trl/issues/3616
CPU_DEFAULTS: Mapping[str, Any] = {"bf16": False, "activation_checkpointing": False}


def training_arguments(
    cls: type[Arguments], given: Mapping[str, Any], out: Path, *, seed: int, section: str
) -> Arguments:
    """Make ``cls`` from the arguments given by name, its checkpoints under ``out/scratch``.

    Raises:
        ConfigError: Upstream refuses a value, a checkpoint would fall between two log lines, or the processes that
            were started together would each train alone.
    """
    cpu = not torch.cuda.is_available()
    values = {**DEFAULTS, **(CPU_DEFAULTS if cpu else {}), **given}
    if "gradient_checkpointing" in given:  # the older name of the same
        values.pop("activation_checkpointing", None)
    _check_steps(values, section)
    _keep_under_the_run(out)
    values.setdefault("run_name", f"{logs_folder(out).parent.name}-{section}")
    values.setdefault("include_num_input_tokens_seen", "all" if cls is TrainingArguments else "non_padding")
    if cpu and process_count() > 1:
        values.setdefault("ddp_backend", "gloo")
    known = {field.name for field in dataclasses.fields(cls)}
    try:
        made = cls(
            output_dir=str(out / "scratch"),
            seed=seed,
            use_cpu=cpu,
            disable_tqdm=True,
            **{name: value for name, value in values.items() if name in known or name in given},
        )
    except (ValueError, TypeError, ImportError) as problem:
        raise ConfigError(f"{section}.training: upstream refuses it: {problem}") from problem
    check_joined(made.distributed_state.num_processes)  # world_size says the same, but TRL's PPOConfig hides it
    return made


def logs_folder(out: Path) -> Path:
    """Where upstream's trackers write: beside the artifact, not in it; times are not content."""
    return out.resolve().parent / "logs"


def _keep_under_the_run(out: Path) -> None:
    """Let trackers that write into the user's home or the working folder write under the run, unless told where."""
    for name, folder in (("TRACKIO_DIR", "trackio"), ("WANDB_DIR", "")):
        os.environ.setdefault(name, str(logs_folder(out) / folder))


def _check_steps(values: Mapping[str, Any], section: str) -> None:
    """A resumed run averages its loss from the checkpoint on: only whole logging windows give the same log."""
    logging, save = values["logging_steps"], values["save_steps"]
    if not isinstance(logging, int) or not isinstance(save, int) or logging < 1 or save % logging:
        raise ConfigError(
            f"{section}.training: logging_steps {logging} and save_steps {save}. Whole numbers are needed, save_steps "
            "a multiple of logging_steps, so that a resumed run logs what an unbroken one logs. Change one of them."
        )
