"""A policy's training that is killed, and gone on with, publishes what a training that nobody disturbed does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import read_manifest

ROOT = Path(__file__).parents[2]
STEPS = 12
COMMON = {
    "seed": 5, "new_tokens": 6, "max_prompt_tokens": 40,
    "heldout_prompts": 3, "heldout_answers": 2, "look_every_steps": 5,
}  # fmt: skip
TRAINING = {"max_steps": STEPS, "save_steps": 1, "learning_rate": 1e-3, "per_device_train_batch_size": 4}
GROUPS = {"num_generations": 2, "num_iterations": 2, "beta": 0.1}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpo": ("DPOStageConfig", {"logging_steps": 1}),
    "kto": ("KTOStageConfig", {"logging_steps": 1}),
    "grpo": ("GRPOStageConfig", GROUPS),
    "rloo": ("RLOOStageConfig", GROUPS),
}

# Loads the libraries once; then, for each line that it reads, a process of its own runs the stage to its end.
SERVER = """
import json, os, sys
from importlib import import_module
import trl.trainer.dpo_trainer, trl.trainer.kto_trainer, trl.trainer.grpo_trainer, trl.trainer.rloo_trainer
import hftrain.alignment.group_training, hftrain.alignment.unpaired
from hftrain.cli import guarded
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if not pid:
        said = os.open(asked["out"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1), os.dup2(said, 2)
        module = import_module("hftrain.stages." + asked["method"])
        config = getattr(module, asked["kind"])(**asked["config"])
        run = lambda: getattr(module, asked["method"])(config, **asked["inputs"], out=asked["out"])
        os._exit(guarded(run, debug=True))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def server() -> "Iterator[subprocess.Popen[str]]":
    """Starts stages, each in a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    ) as process:  # fmt: skip
        yield process
        assert process.stdin
        process.stdin.close()


def start(server: "subprocess.Popen[str]", method: str, run: Path, out: Path) -> int:
    """Start a stage; returns its process."""
    kind, own = CONFIGS[method]
    reads = ("chat", "preferences", "corpus") if method in ("dpo", "kto") else ("chat", "reward", "corpus")
    asked = {
        "method": method,
        "kind": kind,
        "config": {**COMMON, "training": {**TRAINING, **own}},
        "inputs": {name: str(run / name) for name in reads},
        "out": str(out),
    }
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


def ended(server: "subprocess.Popen[str]") -> int:
    """Wait for the stage; returns how it ended."""
    assert server.stdout
    return int(server.stdout.readline())


@pytest.mark.slow
@pytest.mark.parametrize("method", CONFIGS)
def test_two_kills_and_a_request_to_stop_cost_nothing(
    server: "subprocess.Popen[str]", policy_run: Path, tmp_path: Path, method: str
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "policy"
    start(server, method, policy_run, whole)
    assert ended(server) == 0, whole.with_name("whole.log").read_text()

    moments = ((3, signal.SIGKILL), (7, signal.SIGTERM), (10, signal.SIGKILL))
    scratch = tmp_path / "policy.partial" / "scratch"
    for at_step, number in moments:
        process = start(server, method, policy_run, out)
        while not (scratch / f"checkpoint-{at_step}").exists() and not out.exists():
            time.sleep(0.001)
        os.kill(process, number)  # until it is waited for, its number is no one else's
        assert ended(server) == (128 + number if number == signal.SIGTERM else -number)
        assert not out.exists()

    start(server, method, policy_run, out)
    assert ended(server) == 0, out.with_name("policy.log").read_text()
    assert "goes on from step" in out.with_name("policy.log").read_text()
    assert read_manifest(out)["files"] == read_manifest(whole)["files"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_two_processes_publish_one_policy(policy_run: Path, tmp_path: Path, method: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for kind in ("chat", "preferences", "reward", "corpus"):
        (run / kind).symlink_to((policy_run / kind).resolve())
    file = tmp_path / "run.yaml"
    training = {**TRAINING, **CONFIGS[method][1], "max_steps": 2, "per_device_train_batch_size": 2}
    if method == "grpo":
        training["num_generations"] = 4  # of the five prompts, four at a time
    file.write_text(json.dumps({method: {**COMMON, "training": training}}))
    words = [sys.executable, "-W", "default", "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    words += ["-m", f"recipes.{method}", "--config", str(file), "--run-dir", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run(words, cwd=ROOT, env=environment, check=True)
    assert read_manifest(run / "policy")["processes"] == 2
    assert json.loads((run / "policy" / "method.json").read_text()) == {"method": method}
