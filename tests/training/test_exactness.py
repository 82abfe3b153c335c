"""A run killed at any moment, and gone on with, publishes the bytes of a run that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hftrain.artifacts import read_jsonl, read_manifest
from hftrain.stages.pretrain import PretrainConfig

ROOT = Path(__file__).parents[2]
STEPS = 30
CONFIG = {
    "seed": 7,
    "model": {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True, "attention_dropout": 0.1,
    },
    "row_tokens": 32,
    "look_every_steps": 7,
    "heldout_bytes": 500,
    "look_bytes": 200,
    "training": {
        "max_steps": STEPS, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 2,
        "save_steps": 4, "weight_decay": 0.1,
    },
}  # fmt: skip

# Loads the libraries once; then, for each line that it reads, a process of its own runs the stage to its end.
SERVER = """
import json, os, sys
import torch
from transformers import Trainer
import hftrain.training.loop, hftrain.training.pretraining, hftrain.training.rows
from hftrain.cli import guarded
from hftrain.stages.pretrain import PretrainConfig, pretrain
config, corpus, tokenizer = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        said = os.open(line.strip() + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1), os.dup2(said, 2)
        run = lambda: pretrain(PretrainConfig(**config), corpus=corpus, tokenizer=tokenizer, out=line.strip())
        os._exit(guarded(run, debug=True))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Runs:
    """Starts the stage in a process, and ends that as a test likes."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self.server = server

    def start(self, out: Path) -> int:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(f"{out}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        assert self.server.stdout
        return int(self.server.stdout.readline())

    def cut(self, out: Path, number: signal.Signals, *, at_step: int, later_seconds: float, whole: str = "") -> int:
        """Signal the stage once ``at_step`` is being saved and some time has passed; returns how it ended.

        Args:
            whole: The file of a checkpoint that must be there too.
        """
        process = self.start(out)
        saved = out.with_name(out.name + ".partial") / "scratch"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not out.exists():
            found = [int(path.name.split("-")[1]) for path in saved.glob("checkpoint-*") if (path / whole).exists()]
            if at_step <= max(found, default=0):
                time.sleep(later_seconds)
                break
            time.sleep(0.001)
        os.kill(process, number)  # until it is waited for, its number is no one else's
        return self.wait()


@pytest.fixture(scope="module")
def runs(corpus_dir: Path, tokenizer_dir: Path) -> Iterator[Runs]:
    """The stage, ready to start."""
    command = [sys.executable, "-c", SERVER, json.dumps(CONFIG), str(corpus_dir), str(tokenizer_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as server:
        yield Runs(server)
        assert server.stdin
        server.stdin.close()


@pytest.fixture(scope="module")
def whole(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "base"
    runs.start(out)
    assert runs.wait() == 0, out.with_name("base.log").read_text()
    return out


def goes_on(runs: Runs, out: Path, whole: Path) -> str:
    """Run to the end; what it published is what the undisturbed run did. Returns what was said on the way."""
    runs.start(out)
    ended, said = runs.wait(), out.with_name(out.name + ".log").read_text()
    assert ended == 0, said
    assert read_manifest(out)["files"] == read_manifest(whole)["files"]
    return said


def test_the_run_is_longer_than_its_rows(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    assert STEPS * 4 / 2 < summary["distinct_rows"] < STEPS * 4, "cuts shall fall into the first and the second epoch"


def killed(runs: Runs, out: Path, moments: list[tuple[int, float]], whole: str = "") -> None:
    for at_step, later in moments:
        assert runs.cut(out, signal.SIGKILL, at_step=at_step, later_seconds=later, whole=whole) == -signal.SIGKILL
        assert not out.exists()


def test_two_kills_cost_nothing_and_after_the_last_step_no_other_is_taken(
    runs: Runs, whole: Path, tmp_path: Path
) -> None:
    killed(runs, tmp_path / "base", [(16, 0.02)])
    killed(runs, tmp_path / "base", [(STEPS, 0.0)], whole="complete")
    assert f"goes on from step {STEPS}" in goes_on(runs, tmp_path / "base", whole)


@pytest.mark.slow
def test_ten_kills_at_random_moments_cost_nothing_but_time(runs: Runs, whole: Path, tmp_path: Path) -> None:
    draw = random.Random(20260)
    steps = [0, *sorted(draw.sample(range(1, STEPS), 8)), STEPS]
    killed(runs, tmp_path / "base", [(step, draw.uniform(0, 0.05)) for step in steps])
    goes_on(runs, tmp_path / "base", whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_asked_to_stop_it_saves_the_step_and_says_how_to_go_on(
    runs: Runs, whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "base"
    ended = runs.cut(out, number, at_step=8, later_seconds=0.015)
    said = out.with_name("base.log").read_text().splitlines()
    assert ended == 128 + number
    step = max(int(path.name.split("-")[1]) for path in (tmp_path / "base.partial/scratch").glob("checkpoint-*"))
    folder = tmp_path / f"base.partial/scratch/checkpoint-{step}"
    assert (folder / "complete").exists()
    assert said[-1] == (
        f"pretrain: stopped after step {step} of {STEPS}, which is saved in {folder}. "
        "The same command goes on from there."
    )
    assert f"goes on from step {step}" in goes_on(runs, out, whole)


@pytest.fixture
def stage(corpus_dir: Path, tokenizer_dir: Path) -> Callable[..., Path]:
    """The stage in this process."""
    from hftrain.stages.pretrain import pretrain

    def run(out: Path) -> Path:
        return pretrain(PretrainConfig(**CONFIG), corpus=corpus_dir, tokenizer=tokenizer_dir, out=out)

    return run


@pytest.mark.parametrize("step", [9, pytest.param(14, marks=pytest.mark.slow)])
def test_a_step_in_the_middle_of_a_logging_window_is_as_good_to_stop_after(
    stage: Callable[..., Path], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Step 9 is between two log lines; step 14 is looked at once it is saved."""
    from hftrain.runtime import Stopped
    from hftrain.training.callbacks import StopWhenAsked

    real = StopWhenAsked.on_step_end

    def asked(self: StopWhenAsked, args: object, state: object, control: object, **more: object) -> None:
        if state.global_step == step:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)
        real(self, args, state, control, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StopWhenAsked, "on_step_end", asked)
        with pytest.raises(Stopped, match=f"stopped after step {step} of 30"):
            stage(tmp_path / "base")
    stage(tmp_path / "base")
    assert read_jsonl(tmp_path / "base/metrics.jsonl") == read_jsonl(whole / "metrics.jsonl")
    assert read_jsonl(tmp_path / "base/samples.jsonl") == read_jsonl(whole / "samples.jsonl")
