"""The whole life, as a user runs it: twice the same bytes, a second run that does nothing, kills on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hftrain.artifacts import read_json, read_manifest
from hftrain.lineage import artifacts_of, compare, trace, verify

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
FLOW = [sys.executable, "recipes/full_flow.py", "--config", "recipes/configs/smoke.yaml"]


def flow(run: Path, *words: str) -> str:
    """Run the smoke flow into ``run``; returns what it logged."""
    done = subprocess.run(
        [*FLOW, "--run-dir", str(run), *words], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the smoke flow without a break."""
    run = tmp_path_factory.mktemp("whole") / "smoke"
    flow(run)
    return run


def numbers(run: Path, kind: str) -> dict[str, float]:
    """The headline numbers of an artifact."""
    found: dict[str, float] = read_json(run / kind / "summary.json")
    return found


def test_each_stage_moves_its_own_number(whole: Path) -> None:
    base, chat = numbers(whole, "base"), numbers(whole, "chat")
    reward, policy = numbers(whole, "reward"), numbers(whole, "policy")
    assert base["heldout_bits_per_byte_after"] < base["unigram_bits_per_byte"] < base["uniform_bits_per_byte"]
    assert chat["heldout_answer_nats_after"] < chat["heldout_answer_nats_before"] - 0.5
    assert chat["ended_share_after"] > 0.8 > chat["ended_share_before"]
    assert reward["heldout_accuracy_after"] > 0.6
    assert policy["heldout_reward_after"] > policy["heldout_reward_before"]
    assert policy["heldout_kl"] < 10


def test_a_second_run_skips_everything_at_once(whole: Path) -> None:
    began = time.monotonic()
    said = flow(whole)
    assert time.monotonic() - began < 15
    assert said.count("up to date, skipped") == 11
    assert "starts with" not in said


def test_a_changed_key_of_ppo_reruns_ppo_and_what_depends_on_it(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "changed"
    subprocess.run(["cp", "-r", str(whole), str(run)], check=True)
    said = flow(run, "--set", "ppo.training.total_episodes=64")
    ran = [line.split()[1] for line in said.splitlines() if "starts with" in line]
    assert ran == ["ppo:", "distill:", "export:", "evaluate_model:"]


def test_two_runs_give_the_same_bytes_and_verify_says_so(whole: Path, tmp_path: Path) -> None:
    flow(tmp_path / "again")
    assert not any(compare(whole, tmp_path / "again").values())
    said = subprocess.run(
        [str(Path(sys.executable).parent / "hftrain"), "verify", str(whole), str(tmp_path / "again")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.count("same") == 11


@pytest.mark.parametrize("stage", ["pretrain", "ppo"])
def test_a_kill_in_the_middle_costs_nothing_but_time(whole: Path, tmp_path: Path, stage: str) -> None:
    kind = {"pretrain": "base", "ppo": "policy"}[stage]
    run = tmp_path / "cut"
    run.mkdir()
    for folder in artifacts_of(whole):
        if folder.name != kind and kind not in read_manifest(folder)["inputs"]:
            subprocess.run(["cp", "-r", str(folder), str(run)], check=True)
    words = [sys.executable, f"recipes/{stage}.py", *FLOW[2:], "--run-dir", str(run)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 300
        while not list((run / f"{kind}.partial/scratch").glob("checkpoint-*")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert (run / f"{kind}.partial").exists()
    assert not (run / kind).exists()

    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    assert "goes on" in done.stderr
    assert read_manifest(run / kind)["files"] == read_manifest(whole / kind)["files"]
    assert not list(run.glob("*.partial")) + list(run.glob("*.lock"))


def test_the_run_verifies_and_traces_to_its_sources(whole: Path) -> None:
    assert not any(verify(whole).values())
    lines = list(trace(whole / "policy"))
    assert lines[0].startswith("policy")
    assert any("- installed-docs/datasets" in line for line in lines)
    assert any("chatterbot" in line for line in lines)


def test_models_open_with_plain_transformers_without_hftrain(whole: Path) -> None:
    script = (
        "import sys; sys.modules['hftrain'] = None\n"
        "from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer\n"
        "for name in ('base', 'chat', 'policy', 'reward'):\n"
        "    kind = AutoModelForSequenceClassification if name == 'reward' else AutoModelForCausalLM\n"
        f"    folder = {str(whole)!r} + '/' + name\n"
        "    model, words = kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)\n"
        "    talk = [{'role': 'user', 'content': 'Hello!'}]\n"
        "    ids = words.apply_chat_template(talk, add_generation_prompt=True, return_tensors='pt')\n"
        "    print(name, tuple(model(**ids).logits.shape))\n"
        "from datasets import load_from_disk\n"
        f"print(len(load_from_disk({str(whole / 'corpus' / 'train')!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reward (1, 1)" in done.stdout


def test_no_artifact_names_this_machine(whole: Path) -> None:
    for folder in artifacts_of(whole):
        for path in folder.rglob("*.json*"):
            text = path.read_text(encoding="utf-8")
            assert str(whole.parent) not in text, path
            assert str(ROOT) not in text, path


def test_the_page_shows_it_all(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 8
    assert "<script" not in page and "http-equiv" in page


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward_model", "ppo"])
def test_two_processes_train_together_and_publish_one_artifact(whole: Path, tmp_path: Path, stage: str) -> None:
    kind = {"pretrain": "base", "sft": "chat", "reward_model": "reward", "ppo": "policy"}[stage]
    run = tmp_path / "two"
    run.mkdir()
    for folder in artifacts_of(whole):
        (run / folder.name).symlink_to(folder) if folder.name != kind else None
    torchrun = str(Path(sys.executable).parent / "torchrun")
    done = subprocess.run(
        [torchrun, "--nproc_per_node", "2", f"recipes/{stage}.py", *FLOW[2:], "--run-dir", str(run),
         "--set", f"{stage}.training.save_steps=20"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{stage}: starts with 2 processes" in done.stderr
    assert read_manifest(run / kind)["processes"] == 2
    assert done.stdout.strip() == str(run / kind)
