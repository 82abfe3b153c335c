"""The recipes on real text of another kind, given by a configuration alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from hftrain.artifacts import read_json

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SMALL = {
    "collect.max_documents": "300",
    "train_tokenizer.vocab_size": "1024",
    "pretrain.model.hidden_size": "64",
    "pretrain.model.intermediate_size": "192",
    "pretrain.model.num_hidden_layers": "2",
    "pretrain.training.max_steps": "120",
    "pretrain.training.lr_scheduler_kwargs": "{num_decay_steps: 40}",
    "pretrain.training.save_steps": "40",
    "pretrain.look_every_steps": "60",
    "sft.training.num_train_epochs": "2",
    "reward_model.training.num_train_epochs": "2",
    "ppo.training.total_episodes": "512",
    "ppo.heldout_prompts": "60",
    "evaluate_model.heldout_conversations": "60",
}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the data sets that it reads are not in {DATA}")
def test_stories_instructions_and_rankings_from_files_go_through_the_whole_flow(tmp_path: Path) -> None:
    changes = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "recipes/full_flow.py", "--config", "tests/real/stories.yaml",
         "--run-dir", str(tmp_path / "run"), *changes],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    base, chat, preferences, reward, policy = (
        read_json(tmp_path / "run" / kind / "summary.json")
        for kind in ("base", "chat", "preferences", "reward", "policy")
    )
    assert base["heldout_bits_per_byte_after"] < base["unigram_bits_per_byte"]
    assert chat["heldout_answer_nats_after"] < chat["heldout_answer_nats_before"]
    assert preferences["prompts"] == 962
    assert reward["heldout_accuracy_after"] > 0.6
    assert policy["heldout_kl"] < 10
