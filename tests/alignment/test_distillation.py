"""The parts of a distillation that TRL trains. They are slow for what they import."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError
from hftrain.stages.distill import DistillConfig, distill

pytestmark = [
    pytest.mark.slow,
    # TRL 1.12 asks transformers 5.23 by the older name: trl/models/utils.py, _unwrap_model_for_generation.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

SMALL = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
STEPS = {"per_device_train_batch_size": 4, "logging_steps": 2, "save_steps": 4}
SETTINGS: dict[str, Any] = {
    "seed": 3, "model": SMALL, "row_tokens": 64, "heldout_bytes": 500, "look_bytes": 200, "new_tokens": 8,
    "heldout_conversations": 8, "look_every_steps": 4, "training": STEPS | {"max_steps": 8, "learning_rate": 1e-2},
}  # fmt: skip
ON_POLICY = {"method": "on_policy", "on_policy": STEPS | {"max_steps": 8, "max_completion_length": 8}}
ACROSS = {"method": "cross_tokenizer", "cross_tokenizer": STEPS | {"max_steps": 8, "lmbda": 0.0}}

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def policy_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any, make_artifact: Any) -> Path:
    from hftrain.models.loading import save_model

    made = tiny_model(5, num_hidden_layers=2)
    return make_artifact(tmp_path_factory.mktemp("models") / "policy", "policy", lambda out: save_model(*made, out))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with another tokenizer."""
    from hftrain.models.loading import new_causal_lm, save_model
    from hftrain.tokens.vocabulary import learn_vocabulary

    tokenizer = learn_vocabulary(["The dog and the cat play with a ball in the garden."] * 4, vocab_size=290)
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "stranger"
    save_model(new_causal_lm(SMALL, tokenizer, context_tokens=128), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def run(policy_dir: Path, tokenizer_dir: Path, corpus_dir: Path) -> Run:
    def made(out: Path, **given: Any) -> Path:
        settings = DistillConfig(**(SETTINGS | given))
        return distill(settings, policy=policy_dir, tokenizer=tokenizer_dir, corpus=corpus_dir, out=out)

    return made


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch, description: str) -> None:
    """Let the part with this description end in the middle of a step."""
    from hftrain.training.callbacks import ProgressLine

    def cut(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step and self.description == description:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut)


@pytest.mark.parametrize(("given", "part"), [(ON_POLICY, "distill, on policy"), (ACROSS, "distill, cross tokenizer")])
def test_both_parts_cut_and_gone_on_with_give_the_bytes_of_a_whole_run(
    run: Run, stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], part: str
) -> None:
    if given is ACROSS:
        given = given | {"teacher": str(stranger)}
    whole = run(tmp_path / "whole", **given)
    for description, step in (("distill, from text", 6), (part, 2), (part, 6)):
        with monkeypatch.context() as patch:
            cut_at(step, patch, description)
            with pytest.raises(RuntimeError, match="cut"):
                run(tmp_path / "cut", **given)
    made = run(tmp_path / "cut", **given)
    assert read_manifest(made)["files"] == read_manifest(whole)["files"]
    assert [row["step"] for row in read_jsonl(made / "first_metrics.jsonl") if "loss" in row] == [2, 4, 6, 8]
    assert [row["step"] for row in read_jsonl(made / "metrics.jsonl") if "loss" in row] == [2, 4, 6, 8]
    assert not any("step_time" in row for row in read_jsonl(made / "metrics.jsonl"))


def test_a_base_that_knows_something_goes_to_its_teacher_at_once(run: Run, chat_dir: Path, tmp_path: Path) -> None:
    made = run(tmp_path / "student", **ON_POLICY, model={}, base=str(chat_dir))
    assert not (made / "first_metrics.jsonl").exists()
    assert read_json(made / "summary.json")["steps"] == 8


def test_logits_over_other_tokens_are_for_other_tokens(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cross_tokenizer, but teacher and student write text in the same tokens"):
        run(tmp_path / "student", **ACROSS)


SCRIPT = """
import json, sys
from pathlib import Path
from hftrain.stages.distill import DistillConfig, distill
given, policy, tokenizer, corpus, out = sys.argv[1:]
folders = {"policy": policy, "tokenizer": tokenizer, "corpus": corpus, "out": out}
distill(DistillConfig(**json.loads(given)), **{name: Path(folder) for name, folder in folders.items()})
"""


def test_killed_twice_a_run_gives_the_bytes_of_one_that_nobody_disturbed(
    policy_dir: Path, tokenizer_dir: Path, corpus_dir: Path, run: Run, tmp_path: Path
) -> None:
    settings = SETTINGS | {"training": STEPS | {"max_steps": 24, "learning_rate": 1e-2}}
    out = tmp_path / "killed" / "student"
    command = [sys.executable, "-c", SCRIPT, json.dumps(settings)]
    command += [str(each) for each in (policy_dir, tokenizer_dir, corpus_dir, out)]
    scratch = out.with_name("student.partial") / "scratch"
    for step in (4, 16):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < until:
            if any((scratch / f"checkpoint-{at}").exists() for at in range(step, 25, 4)):
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    made = run(out, training=settings["training"])
    assert (
        read_manifest(made)["files"] == read_manifest(run(tmp_path / "whole", training=settings["training"]))["files"]
    )
