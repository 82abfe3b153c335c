"""Two processes, one with twice the batch, one that accumulates two: one training.

The three add the same gradients in another order. Over 20 steps, which are more than an epoch, their losses were
measured to differ by at most 1e-6 (of about 4), their weights by 2.3e-5; the tests allow ten times as much.

Upstream deals rows out alike: step i takes the same rows of the same shuffled order in all three. They part only where
an epoch's rows do not fill its last step: one process takes a short step, two fill theirs with rows from the epoch's
start. ``dataloader_drop_last`` leaves those rows out in all three.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from hftrain.artifacts import read_json, read_jsonl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STEPS = 20
LOSS_TOLERANCE = 1e-5
WEIGHT_TOLERANCE = 3e-4

RUN = """
import json, sys
from hftrain.stages.pretrain import PretrainConfig, pretrain
config, corpus, tokenizer, out = json.loads(sys.argv[1]), *sys.argv[2:]
pretrain(PretrainConfig(**config), corpus=corpus, tokenizer=tokenizer, out=out)
"""


def config(**training: Any) -> dict[str, Any]:
    usual = {"max_steps": STEPS, "learning_rate": 1e-2, "logging_steps": 1, "save_steps": 10}
    model = {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True,
    }  # fmt: skip
    sizes = {"row_tokens": 32, "look_every_steps": 10, "heldout_bytes": 500, "look_bytes": 200}
    return {"seed": 7, "model": model, "training": usual | training, **sizes}


def trained(
    folder: Path, corpus: Path, tokenizer: Path, *launcher: str | Path, name: str, **training: Any
) -> tuple[Path, str]:
    """The stage, run by a launcher; the artifact and what was said."""
    script = folder / "run.py"
    script.write_text(RUN)
    out = folder / name
    words = [*launcher, script, json.dumps(config(**training)), corpus, tokenizer, out]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [str(word) for word in words], env=environment, capture_output=True, text=True, timeout=300, cwd=folder
    )
    assert ended.returncode == 0, ended.stderr
    return out, ended.stderr


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2")
ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch")


@pytest.fixture(scope="module")
def runs(corpus_dir: Path, tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same training in three forms, over more rows than one epoch has."""
    folder = tmp_path_factory.mktemp("forms")
    forms: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
        "double": ((sys.executable,), {"per_device_train_batch_size": 8}),
        "accumulated": ((sys.executable,), {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}),
        "two": (TORCHRUN, {"per_device_train_batch_size": 4}),
    }
    return {
        name: trained(
            folder, corpus_dir, tokenizer_dir, *launcher, name=name, dataloader_drop_last=True, **training
        )[0]
        for name, (launcher, training) in forms.items()
    }  # fmt: skip


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_jsonl(folder / "metrics.jsonl") if "loss" in row]


@pytest.mark.parametrize("other", ["accumulated", "two"])
def test_the_same_rows_in_the_same_step_give_the_same_losses(runs: dict[str, Path], other: str) -> None:
    assert read_json(runs[other] / "summary.json")["distinct_rows"] < STEPS * 8, "more than one epoch is compared"
    assert losses(runs[other]) == pytest.approx(losses(runs["double"]), abs=LOSS_TOLERANCE)
    ours, theirs = load_file(runs[other] / "model.safetensors"), load_file(runs["double"] / "model.safetensors")
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < WEIGHT_TOLERANCE


def test_both_processes_count(runs: dict[str, Path]) -> None:
    assert read_json(runs["two"] / "manifest.json")["processes"] == 2
    assert read_json(runs["two"] / "summary.json")["train_tokens"] == STEPS * 8 * 32
