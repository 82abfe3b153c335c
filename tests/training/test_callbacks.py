import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hftrain.runtime import Stopped, StopRequest
from hftrain.training.callbacks import LookEvery, ProgressLine, StopWhenAsked, random_state_kept


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(tmp_path), use_cpu=True)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C as a terminal gives it; a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_look_waits_for_its_checkpoint(args: TrainingArguments, tmp_path: Path) -> None:
    look = LookEvery(lambda _: ({"heldout_bits_per_byte": 2.0}, []), every_steps=5, scratch=tmp_path)
    state, control = TrainerState(global_step=5, max_steps=9), TrainerControl()
    look.on_step_end(args, state, control, model=None)
    assert control.should_save and state.log_history == []
    look.on_save(args, state, control, model=None)
    look.on_save(args, state, control, model=None)
    assert state.log_history == [{"step": 5, "heldout_bits_per_byte": 2.0}]


def test_where_no_checkpoints_are_wanted_a_look_asks_for_none(args: TrainingArguments, tmp_path: Path) -> None:
    args.save_strategy = "no"  # type: ignore[assignment]
    look = LookEvery(lambda _: ({"heldout_bits_per_byte": 2.0}, []), every_steps=5, scratch=tmp_path)
    state, control = TrainerState(global_step=5, max_steps=9), TrainerControl()
    look.on_step_end(args, state, control, model=None)
    assert not control.should_save and len(state.log_history) == 1


def test_a_look_reaches_those_who_listen_and_takes_no_log_line_from_them(
    args: TrainingArguments, tmp_path: Path
) -> None:
    class Listeners:
        def on_log(self, args: object, state: object, control: TrainerControl, logs: dict[str, float]) -> None:
            heard.append(logs)
            control.should_log = False

    heard: list[dict[str, float]] = []
    look = LookEvery(lambda _: ({"heldout_bits_per_byte": 2.0}, []), every_steps=5, scratch=tmp_path)
    look.listeners, control = Listeners(), TrainerControl(should_log=True)
    look.on_train_begin(args, TrainerState(global_step=0, max_steps=9), control, model=None)
    assert heard == [{"heldout_bits_per_byte": 2.0}] and control.should_log


def test_a_look_leaves_every_random_state_as_it_was() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(numpy.random.random()), torch.rand(1).item()

    with random_state_kept():
        first = draw()
    assert draw() == first


def test_where_there_is_no_terminal_a_line_is_written_now_and_then(
    args: TrainingArguments, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hftrain.training.callbacks.LINE_SECONDS", 0)
    line, state = ProgressLine("pretrain"), TrainerState(global_step=300, max_steps=1000)
    logs = {"loss": 3.14159, "mfu": 0.715, "tokens_per_second": 12345.6, "eta_seconds": 61.2, "epoch": 0.5}
    with caplog.at_level("INFO", logger="hftrain"):
        line.on_train_begin(args, state, TrainerControl())
        line.on_log(args, state, TrainerControl(), logs)
    assert caplog.messages == ["pretrain: step 300 of 1,000, loss 3.142, tokens/s 12,346, MFU 72%, left 0:01:01"]


@pytest.mark.usefixtures("heard")
def test_the_first_signal_is_kept_for_the_end_of_the_step_the_second_ends_at_once(args: TrainingArguments) -> None:
    with pytest.raises(KeyboardInterrupt) as ended, StopRequest() as request:
        stop, state, control = StopWhenAsked(request, "sft"), TrainerState(global_step=3), TrainerControl()
        stop.on_step_begin(args, state, control)
        signal.raise_signal(signal.SIGINT)
        stop.on_step_end(args, state, control)
        assert control.should_save
        signal.raise_signal(signal.SIGINT)
    assert not isinstance(ended.value, Stopped)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_saved_ends_at_once_and_with_its_signals_code(args: TrainingArguments) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="sft: stopped after step 3 of 9") as ended, StopRequest() as request:
        stop = StopWhenAsked(request, "sft")
        stop.on_save(args, TrainerState(global_step=3, max_steps=9), TrainerControl())
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_speed_of_a_run_reaches_tensorboard_and_stays_out_of_the_artifact(
    args: TrainingArguments, tmp_path: Path, corpus_dir: Path, tokenizer_dir: Path
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from hftrain.stages.pretrain import PretrainConfig, pretrain

    model = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2}
    training = {"max_steps": 4, "logging_steps": 2, "save_steps": 2, "report_to": ["tensorboard"]}
    config = PretrainConfig(seed=1, model=model, training=training, row_tokens=32, look_bytes=200, heldout_bytes=500)
    out = pretrain(config, corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "run" / "base")
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "tensorboard" / "pretrain"))
    events.Reload()
    named = {"tokens_per_second", "mfu", "eta_seconds", "loss", "grad_norm", "learning_rate", "heldout_bits_per_byte"}
    assert {f"train/{name}" for name in named} <= set(events.Tags()["scalars"])
    assert not [path for path in out.rglob("*") if "events" in path.name]
    assert "mfu" not in (out / "metrics.jsonl").read_text()
    assert json.loads((out / "manifest.json").read_text())["measured"]["mfu"] > 0
