"""A training whose loss is no number any more: it ends there, and says at which step and on which rows."""

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from hftrain.errors import ConfigError
from hftrain.files import write_json
from hftrain.runtime import process_count, process_rank
from hftrain.training.arguments import logs_folder

SHOWN_TOKENS = 48


def stop_when_diverged(trainer: Trainer, out: Path, *, description: str) -> None:
    """Look at the loss of each batch. Upstream leaves one that is NaN out of its log, and trains on.

    Source: transformers 5.23, ``TrainingArguments.logging_nan_inf_filter``.
    """
    plain = trainer.training_step

    def checked(model: Any, inputs: Any, *rest: Any, **named: Any) -> torch.Tensor:
        loss: torch.Tensor = plain(model, inputs, *rest, **named)
        if not bool(torch.isfinite(loss).all()):
            raise _diverged(trainer, inputs, loss, out, description)
        return loss

    trainer.training_step = checked


def _diverged(trainer: Trainer, inputs: Any, loss: torch.Tensor, out: Path, description: str) -> ConfigError:
    step, rows = trainer.state.global_step + 1, _rows_of(inputs)
    tokenizer: Any = trainer.processing_class
    texts = [tokenizer.decode(row[:SHOWN_TOKENS]) for row in rows] if tokenizer is not None else []
    path = logs_folder(out) / f"{description}-diverged-{process_rank()}.json"
    write_json(path, {"step": step, "loss": str(loss.item()), "input_ids": rows, "texts": texts})
    rate = trainer.lr_scheduler.get_last_lr()[0] if trainer.lr_scheduler is not None else trainer.args.learning_rate
    begins = f", of which the first begins {texts[0][:80]!r}" if texts else ""
    of_process = f" in process {process_rank()}" if process_count() > 1 else ""
    return ConfigError(
        f"{description}: the loss is {loss.item()} at step {step} of {trainer.state.max_steps}{of_process}, on a batch "
        f"of {len(rows)} rows{begins}; its rows are in {path}. A finite loss is needed. Lower {description}.training."
        f"learning_rate ({rate:.3g} at this step) or max_grad_norm ({trainer.args.max_grad_norm}), warm up longer, or "
        "look at the rows."
    )


def _rows_of(inputs: Any) -> list[list[int]]:
    """The token ids of a batch, from whichever of its fields holds them."""
    names = ("input_ids", "chosen_input_ids", "prompt_ids", "completion_ids")
    found = next((inputs[name] for name in names if hasattr(inputs, "get") and inputs.get(name) is not None), None)
    if found is None:
        return []
    rows: list[list[int]] = (
        found.tolist() if isinstance(found, torch.Tensor) else [list(map(int, row)) for row in found]
    )
    return rows
