"""Run a Trainer so that a kill at any moment costs at most the steps since its last checkpoint."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerState
from transformers.integrations import TensorBoardCallback

from hftrain.artifacts import record_measured, write_jsonl
from hftrain.errors import ConfigError
from hftrain.files import files_below
from hftrain.runtime import StopRequest, device, is_main_process, log, process_count, wait_for_everyone
from hftrain.training.arguments import logs_folder
from hftrain.training.callbacks import (
    COMPLETE,
    KEPT_CHECKPOINTS,
    LoggingWindow,
    LookEvery,
    MarkCompleteCheckpoints,
    ProgressLine,
    StopWhenAsked,
    checkpoints_in,
    gather_samples,
    is_whole,
    step_of,
)
from hftrain.training.diverging import stop_when_diverged
from hftrain.training.utilisation import Speed, peak_of_this_process, training_dtype

TRAINER_STATE = "trainer_state.json"
# What differs between two runs of the same work, or restarts from zero when a run is resumed.
NOT_REPEATABLE = frozenset({"train_loss", "total_flos", "num_tokens", "num_input_tokens_seen", "epoch"})


def run_trainer(trainer: Trainer, out: Path, *, description: str) -> None:
    """Train from the last whole checkpoint (or the start) to the end; write ``metrics.jsonl`` and ``samples.jsonl``.

    The caller saves the model: what is published is its choice.

    Raises:
        Stopped: SIGTERM or Ctrl-C came; the step that was under way is saved.
    """
    _check_sharded(trainer)
    stop_when_diverged(trainer, out, description=description)
    checkpoint = last_complete_checkpoint(out / "scratch")
    first_step = step_of(checkpoint) if checkpoint else 0
    if checkpoint:
        log.info("%s: goes on from step %d", description, first_step)
    dtype = training_dtype(trainer.args)
    speed = Speed(
        peak_of_this_process(dtype, torch.get_num_threads()),
        dtype=dtype,
        processes=process_count(),
        scratch=out / "scratch",
    )
    began = time.monotonic()
    with StopRequest() as request:
        _watch(trainer, out, speed, request, checkpoint, description)
        if is_main_process():
            log.info("%s: %s", description, checkpoint_policy(trainer, checkpoint))
        if checkpoint and _is_last(checkpoint):
            _take_up(trainer, checkpoint)
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        _gather_shards(trainer)
    if is_main_process():
        write_jsonl(out / "metrics.jsonl", _repeatable(trainer.state.log_history))
        gather_samples(out)
        last = checkpoints_in(out / "scratch")[-1:]
        record_measured(
            out,
            train_seconds=time.monotonic() - began,
            checkpoint_bytes=_bytes_of(last[0]) if last else None,
            **speed.summary(),
        )


def _watch(
    trainer: Trainer, out: Path, speed: Speed, request: StopRequest, checkpoint: Path | None, description: str
) -> None:
    """Put the callbacks in the order in which they rely on each other."""
    for upstream in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(upstream)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(logs_folder(out) / "tensorboard" / description)
    look = trainer.pop_callback(LookEvery)
    trainer.callback_handler.callbacks.insert(0, speed)
    for callback in (
        LoggingWindow(trainer, checkpoint),
        MarkCompleteCheckpoints(),
        StopWhenAsked(request, description),
        ProgressLine(description),
    ):
        trainer.add_callback(callback)
    if look is not None:
        look.listeners = trainer.callback_handler
        look.is_sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
        trainer.add_callback(look)


def _check_sharded(trainer: Trainer) -> None:
    """Refuse a launch for FSDP that upstream would run with the whole model in each process, without a word.

    Source: accelerate 1.15, ``AcceleratorState``, which takes up FSDP on accelerators alone.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" and not trainer.is_fsdp_enabled:
        raise ConfigError(
            "accelerate: FSDP is asked for, but accelerate shards a model over GPUs and their like alone, and there "
            "are none: each process would hold all of it. Launch with recipes/accelerate/cpu.yaml, or where GPUs are."
        )


def _gather_shards(trainer: Trainer) -> None:
    """Put a whole model on rank 0 in the place of the shards: whoever publishes it works there alone."""
    sharded: Any = trainer.accelerator.unwrap_model(trainer.model)
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if is_main_process():
        # Sharding puts a class of its own before the model's.
        plain = next(each for each in type(sharded).__mro__ if each.__module__.startswith("transformers.models."))
        with torch.random.fork_rng():
            whole = plain(sharded.config)
        whole.load_state_dict(state, strict=False)
        whole.tie_weights()
        whole.generation_config = sharded.generation_config
        trainer.model = trainer.model_wrapped = whole.to(device())


def _is_last(checkpoint: Path) -> bool:
    """Whether no step is left after it; TRL's PPO keeps another account, and sees to it itself."""
    path = checkpoint / TRAINER_STATE
    state = TrainerState.load_from_json(str(path)) if path.is_file() else None
    return state is not None and state.global_step >= state.max_steps


def _take_up(trainer: Trainer, checkpoint: Path) -> None:
    """Take over weights and history of a run's last step: upstream would take one step more, then see that it is over.

    Source: transformers 5.23, ``Trainer._run_epoch``, which looks at ``should_training_stop`` after a step only.
    """
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE))
    told = trainer.args, trainer.state, trainer.control
    trainer.callback_handler.on_train_begin(*told)
    trainer.callback_handler.on_train_end(*told)


def checkpoint_policy(trainer: Trainer, checkpoint: Path | None) -> str:
    """How often a checkpoint is written, how many are kept, where, and what they take on disk, in words."""
    args = trainer.args
    kept = args.save_total_limit or KEPT_CHECKPOINTS
    if checkpoint:
        about, size = "", _bytes_of(checkpoint)
    else:
        about, size = "about ", checkpoint_bytes(trainer.model)
    looks = [each for each in trainer.callback_handler.callbacks if isinstance(each, LookEvery)]
    when = {"no": "none is written", "epoch": "one every epoch"}.get(str(args.save_strategy.value))
    when = when or f"one every {args.save_steps:g} steps"
    if looks and args.save_strategy != "no":
        when += f" and before each look (every {looks[0].every_steps:,})"
    return (
        f"checkpoints: {when}, the last {kept} kept, {about}{size / 2**20:,.1f} MiB each, {about}"
        f"{kept * size / 2**20:,.1f} MiB in {args.output_dir}"
    )


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_below(folder))


def checkpoint_bytes(model: Any) -> int:
    """Bytes of a checkpoint before there is one: the weights, and two moments of each that learns (AdamW's)."""
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    return weights + sum(2 * each.numel() * each.element_size() for each in model.parameters() if each.requires_grad)


def last_complete_checkpoint(scratch: Path) -> Path | None:
    """The newest checkpoint that was written to its end; cut ones are removed first."""
    found = checkpoints_in(scratch)
    if is_main_process():
        for path in found:
            if not is_whole(path):
                if (path / COMPLETE).exists():
                    log.info("%s: was changed since it was written, and is not gone on from", path)
                shutil.rmtree(path)
    wait_for_everyone()
    return next((path for path in reversed(found) if path.is_dir()), None)


def _repeatable(history: list[dict[str, Any]]) -> list[Mapping[str, float]]:
    rows: list[Mapping[str, float]] = []
    for entry in history:
        row = {
            name: value
            for name, value in entry.items()
            if name not in NOT_REPEATABLE and not name.endswith(("_runtime", "_per_second"))
        }
        if set(row) != {"step"}:
            rows.append(row)
    return rows
