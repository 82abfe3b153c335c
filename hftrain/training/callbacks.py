"""What is watched while a model trains: a line of progress, samples, held-out bits per byte, whole checkpoints."""

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hftrain.errors import ArtifactError
from hftrain.files import describe_files, read_json, write_json, write_jsonl
from hftrain.runtime import (
    Stopped,
    StopRequest,
    is_main_process,
    log,
    process_count,
    process_rank,
    progress,
    wait_for_everyone,
)

COMPLETE = "complete"
KEPT_CHECKPOINTS = 2
"""How many checkpoints a run holds on disk, where ``save_total_limit`` does not say."""
LINE_SECONDS = 30
"""Where no one sees a bar, a line of progress is written so often at most."""
SHOWN: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "loss": ("loss", "{:.4g}".format),
    "heldout_bits_per_byte": ("held-out bits per byte", "{:.4f}".format),
    "heldout_answer_nats": ("held-out nats", "{:.4f}".format),
    "accuracy": ("accuracy", "{:.3f}".format),
    "reward": ("reward", "{:.4g}".format),
    "kl": ("kl", "{:.4g}".format),
    "learning_rate": ("rate", "{:.3g}".format),
    "grad_norm": ("gradient", "{:.3g}".format),
    "tokens_per_second": ("tokens/s", "{:,.0f}".format),
    "mfu": ("MFU", "{:.0%}".format),
    "eta_seconds": ("left", lambda seconds: str(timedelta(seconds=round(seconds)))),
}
"""What the line of progress shows, how it is called there and how it is written."""


class MarkCompleteCheckpoints(TrainerCallback):
    """Write a file into each checkpoint once all ranks have saved: one without it was cut and is not resumed."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint that was just written; only then let go of those before the last two."""
        wait_for_everyone()
        if is_main_process():
            scratch = Path(args.output_dir or "")
            mark_complete(scratch / f"checkpoint-{state.global_step}")
            if args.save_total_limit is None:
                for path in checkpoints_in(scratch)[:-KEPT_CHECKPOINTS]:
                    shutil.rmtree(path)


class LoggingWindow(TrainerCallback):
    """Keep in each checkpoint what the next log line has added up so far, so that a resumed run writes the same line.

    Upstream starts a resumed run with an empty window: its first line would average the steps since the checkpoint.
    """

    def __init__(self, trainer: Trainer, checkpoint: Path | None) -> None:
        """Go on with the window of ``checkpoint``."""
        self.trainer: Any = trainer
        self.checkpoint = checkpoint

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put back what was added up."""
        path = self._path(self.checkpoint) if self.checkpoint else None
        if path is None or not path.is_file() or not hasattr(self.trainer, "_tr_loss"):
            return
        kept = read_json(path)
        self.trainer._tr_loss += kept["loss"]
        self.trainer._globalstep_last_logged = kept["logged_step"]
        for name, values in kept["averaged"].items():
            self.trainer._metrics["train"][name].extend(values)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write what this rank has added up."""
        if hasattr(self.trainer, "_tr_loss"):  # TRL's PPO logs every update
            averaged = getattr(self.trainer, "_metrics", {}).get("train", {})
            kept = {
                "loss": self.trainer._tr_loss.item(),
                "logged_step": self.trainer._globalstep_last_logged,
                "averaged": {name: [float(value) for value in values] for name, values in averaged.items()},
            }
            write_json(self._path(Path(args.output_dir or "") / f"checkpoint-{state.global_step}"), kept)

    def _path(self, checkpoint: Path) -> Path:
        return checkpoint / f"logging_window_{process_rank()}.json"


class StopWhenAsked(TrainerCallback):
    """On SIGTERM or Ctrl-C finish the step, save it, and end: on all processes after the same step."""

    def __init__(self, request: StopRequest, description: str) -> None:
        """Look at ``request`` after every step."""
        self.request, self.description = request, description
        self.alone = process_count() == 1
        self.group: Any = None
        self.asked = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Until the first step there is nothing to save."""
        self._rest(f"{self.description}: stopped at step {state.global_step:,}. The same command goes on from there.")
        if not self.alone:
            self.group = torch.distributed.new_group(backend="gloo")  # an answer on the CPU stops no GPU's queue

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """From here on a step would be lost."""
        self.request.at_rest = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint, if any process was asked to stop."""
        self.asked = self.request.signal_number or 0
        if not self.alone:
            asked = torch.tensor(self.asked)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX, group=self.group)
            self.asked = int(asked)
        control.should_save = control.should_save or self.asked > 0

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """End here; or note that for the moment all is saved.

        Raises:
            Stopped: A stop was asked for.
        """
        checkpoint = Path(args.output_dir or "") / f"checkpoint-{state.global_step}"
        saved = (
            f"{self.description}: stopped after step {state.global_step:,} of {state.max_steps:,}, which is saved in "
            f"{checkpoint}. The same command goes on from there."
        )
        number = self.asked or (self.request.signal_number if self.alone else 0)
        if number:
            raise Stopped(saved, number)
        self._rest(saved)

    def _rest(self, message: str) -> None:
        if self.alone:  # several processes end together, after a step
            self.request.at_rest = message


class ProgressLine(TrainerCallback):
    """One line with steps, rate, time left and the newest numbers; where there is no terminal, a line now and then."""

    def __init__(self, description: str) -> None:
        """Show ``description`` before the bar."""
        self.description = description
        self.bar: Any = None
        self.newest: dict[str, str] = {}
        self.written = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the line where the run stands."""
        self.bar = progress(total=state.max_steps, unit="step", description=self.description)
        self.bar.update(state.global_step)
        self.written = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move on by a step; how many there are may have been decided on the way."""
        self.bar.total = state.max_steps
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
        given = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        self.newest |= {name: f"{SHOWN[name][0]} {SHOWN[name][1](given[name])}" for name in SHOWN if name in given}
        if self.bar is None:
            return
        line = ", ".join(self.newest[name] for name in SHOWN if name in self.newest)
        self.bar.set_postfix_str(line)
        if self.bar.disable and is_main_process() and time.monotonic() - self.written >= LINE_SECONDS:
            log.info("%s: step %s of %s, %s", self.description, f"{state.global_step:,}", f"{state.max_steps:,}", line)
            self.written = time.monotonic()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the line."""
        self.bar.close()


Look = Callable[[PreTrainedModel], tuple[Mapping[str, float], Sequence[Mapping[str, str]]]]


class LookEvery(TrainerCallback):
    """At step 0 and every so many steps, ask ``look(model)`` for numbers and samples.

    A checkpoint is written first: a kill during a look costs no step, and a run that goes on from there looks then.
    The numbers join the log history and go to whoever listens to the log; the samples are kept one file a step under
    ``scratch``: a step that is looked at again after a kill writes the same file again. A look leaves the random
    state as it was.
    """

    def __init__(self, look: Look, *, every_steps: int, scratch: Path) -> None:
        """Look every ``every_steps`` steps and keep samples below ``scratch``."""
        self.look = look
        self.every_steps = every_steps
        self.folder = scratch / "looks"
        self.listeners: Any = None
        self.is_sharded = False
        self.looked_step: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the model before its first step, or at the step after which it was cut."""
        if state.global_step == 0 or self._is_due(state):
            self._look_once(args, state, control, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint when it is time to look; look at once where none is wanted."""
        if not self._is_due(state):
            return
        if args.save_strategy == "no":
            self._look_once(args, state, control, kwargs["model"])
        else:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Look when it is time."""
        if self._is_due(state):
            self._look_once(args, state, control, kwargs["model"])

    def _is_due(self, state: TrainerState) -> bool:
        return state.global_step % self.every_steps == 0 or state.global_step == state.max_steps

    def _look_once(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any) -> None:
        if self.looked_step == state.global_step:
            return
        self.looked_step = state.global_step
        known = len(state.log_history)
        with random_state_kept():
            self._look(state, model)
        if self.listeners is not None and len(state.log_history) > known:
            wanted = control.should_log
            numbers = {name: value for name, value in state.log_history[-1].items() if name != "step"}
            self.listeners.on_log(args, state, control, numbers)
            control.should_log = wanted

    def _look(self, state: TrainerState, model: PreTrainedModel) -> None:
        if not (is_main_process() or self.is_sharded):  # the others hold parts of a sharded model: all take part
            return
        numbers, samples = self.look(getattr(model, "module", model))
        if not is_main_process():
            return
        row = {"step": state.global_step, **numbers}
        if row not in state.log_history:  # a checkpoint of the same step may already know it
            state.log_history.append(row)
        rows = [{"step": state.global_step, **sample} for sample in samples]
        write_json(self.folder / f"{state.global_step:09d}.json", rows)


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave the random states of Python, NumPy and torch as they were."""
    python, arrays = random.getstate(), numpy.random.get_state()
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        yield
    random.setstate(python)
    numpy.random.set_state(arrays)


def checkpoints_in(scratch: Path) -> list[Path]:
    """The checkpoints in a folder, by their steps; none where there is no folder."""
    return sorted(scratch.glob("checkpoint-*"), key=step_of)


def mark_complete(checkpoint: Path) -> None:
    """Say in a checkpoint that it was written to its end, and what each of its files holds."""
    write_json(checkpoint / COMPLETE, describe_files(checkpoint))


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end, and all of its files hold what they held then."""
    path = checkpoint / COMPLETE
    if not path.is_file():
        return False
    try:
        return bool(read_json(path) == describe_files(checkpoint, leave_out=frozenset({COMPLETE})))
    except ArtifactError:
        return False


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def gather_samples(out: Path) -> None:
    """Join what `LookEvery` kept into ``out/samples.jsonl``, in the order of the steps; nothing where nobody looked."""
    paths = sorted((out / "scratch" / "looks").glob("*.json"))
    if paths:
        write_jsonl(out / "samples.jsonl", [row for path in paths for row in read_json(path)])
