"""What is watched while a model trains: a line of progress, samples, held-out bits per byte, whole checkpoints."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hftrain.files import read_json, write_json, write_jsonl
from hftrain.runtime import is_main_process, progress, wait_for_everyone

COMPLETE = "complete"
KEPT_CHECKPOINTS = 2
"""How many checkpoints a run holds on disk, where ``save_total_limit`` does not say."""
SHOWN = ("loss", "accuracy", "reward", "kl", "learning_rate")


class MarkCompleteCheckpoints(TrainerCallback):
    """Write a file into each checkpoint once all ranks have saved: one without it was cut and is not resumed."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint that was just written; only then let go of those before the last two."""
        wait_for_everyone()
        if is_main_process():
            scratch = Path(args.output_dir or "")
            (scratch / f"checkpoint-{state.global_step}" / COMPLETE).touch()
            if args.save_total_limit is None:
                for path in checkpoints_in(scratch)[:-KEPT_CHECKPOINTS]:
                    shutil.rmtree(path)


class ProgressLine(TrainerCallback):
    """One line with steps, rate, time left and the last loss."""

    def __init__(self, description: str) -> None:
        """Show ``description`` before the bar."""
        self.description = description
        self.bar: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the line where the run stands."""
        self.bar = progress(total=state.max_steps, unit="step", description=self.description)
        self.bar.update(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move on by a step."""
        self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Show the newest numbers."""
        shown = (
            {name: f"{logs[name]:.4g}" for name in SHOWN if isinstance((logs or {}).get(name), float)} if logs else {}
        )
        if shown and self.bar is not None:
            self.bar.set_postfix(shown)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the line."""
        self.bar.close()


Look = Callable[[PreTrainedModel], tuple[Mapping[str, float], Sequence[Mapping[str, str]]]]


class LookEvery(TrainerCallback):
    """At step 0 and every so many steps, ask ``look(model)`` for numbers and samples.

    The numbers join the log history, the samples are kept one file a step under ``scratch``: a step that runs again
    after a kill writes the same file again.
    """

    def __init__(self, look: Look, *, every_steps: int, scratch: Path) -> None:
        """Look every ``every_steps`` steps and keep samples below ``scratch``."""
        self.look = look
        self.every_steps = every_steps
        self.folder = scratch / "looks"

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the model before its first step."""
        if state.global_step == 0:
            self._look(state, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Look when it is time; before the checkpoint of the same step, whose log then holds the numbers."""
        if state.global_step % self.every_steps == 0 or state.global_step == state.max_steps:
            self._look(state, kwargs["model"])

    def _look(self, state: TrainerState, model: PreTrainedModel) -> None:
        if not is_main_process():
            return
        numbers, samples = self.look(getattr(model, "module", model))
        state.log_history.append({"step": state.global_step, **numbers})
        rows = [{"step": state.global_step, **sample} for sample in samples]
        write_json(self.folder / f"{state.global_step:09d}.json", rows)


def checkpoints_in(scratch: Path) -> list[Path]:
    """The checkpoints in a folder, by their steps; none where there is no folder."""
    return sorted(scratch.glob("checkpoint-*"), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def gather_samples(out: Path) -> None:
    """Join what `LookEvery` kept into ``out/samples.jsonl``, in the order of the steps; nothing where nobody looked."""
    paths = sorted((out / "scratch" / "looks").glob("*.json"))
    if paths:
        write_jsonl(out / "samples.jsonl", [row for path in paths for row in read_json(path)])
