import io
import json
from pathlib import Path
from typing import Any

import pytest

from hftrain.config import load_config
from hftrain.errors import ArtifactError, DataError
from hftrain.stages.flow import FlowConfig
from hftrain.stages.lens_view import show


@pytest.fixture
def run_dir(tmp_path: Path, corpus_dir: Path, tokenizer_dir: Path) -> Path:
    """A run that has a corpus and a tokenizer."""
    for name, made in (("corpus", corpus_dir), ("tokenizer", tokenizer_dir)):
        (tmp_path / name).symlink_to(made)
    return tmp_path


def seen(run_dir: Path | None, *settings: str, **options: Any) -> str:
    """What is shown of the defaults with these settings."""
    out = io.StringIO()
    show(load_config(FlowConfig, None, ["pretrain.row_tokens=128", *settings]), run_dir, out=out, **options)
    return out.getvalue()


def test_a_run_with_a_corpus_and_a_tokenizer_shows_its_rows_and_counts(run_dir: Path) -> None:
    text = seen(run_dir, rows=2)
    assert "16 rows; 0 left out: a share of 0.000" in text
    assert "⟦Hello! How are you today?<|im_end|>⟧" in text and "<|im_start|>assistant⏎⟦" in text
    assert "\x1b" not in text
    assert "\x1b[1;38;5;32m⟦" in seen(run_dir, rows=1, color="always")


def test_the_same_as_json(run_dir: Path) -> None:
    (part,) = json.loads(seen(run_dir, as_json=True))["parts"]
    trained = [piece["text"] for piece in part["examples"][0]["tokens"] if piece["state"] == "trained"]
    assert "".join(trained) == "Hello! How are you today?<|im_end|>"
    assert part["counts"]["rows"] == part["sources"]["test"]["rows"] == 16
    assert part["problem"] is None and part["max_row_tokens"] == 128


def test_rows_that_would_be_left_out_are_shown_and_then_refused(run_dir: Path) -> None:
    out = io.StringIO()
    config = load_config(FlowConfig, None, ["pretrain.row_tokens=128", "sft.max_row_tokens=30"])
    with pytest.raises(DataError, match=r"of 16 conversations were left out \(too_long"):
        show(config, run_dir, out=out)
    assert "a row left out as too long" in out.getvalue() and "✂<|im_start|>user" in out.getvalue()


def test_conversations_are_read_where_they_lie_before_there_is_a_corpus(run_dir: Path) -> None:
    (run_dir / "corpus").unlink()
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    (run_dir / "talks.jsonl").write_text(json.dumps(row) + "\n")
    text = seen(run_dir, f"collect.conversations=[{run_dir / 'talks.jsonl'}]")
    assert "as collected (curate may still drop some)" in text and "⟦Hello!<|im_end|>⟧" in text


def test_a_model_to_go_on_from_is_enough(chat_dir: Path, tmp_path: Path) -> None:
    row = {"prompt": "Hi", "completion": "Hello!"}
    (tmp_path / "talks.jsonl").write_text(json.dumps(row) + "\n")
    text = seen(None, f"pretrain.base={chat_dir}", f"collect.conversations=[{tmp_path / 'talks.jsonl'}]")
    assert "tokenizer of pretrain.base, at most 128 tokens in a row" in text and "⟦Hello!<|im_end|>⟧" in text


def test_without_a_tokenizer_the_stage_to_run_first_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no tokenizer yet.*recipes/train_tokenizer.py"):
        seen(tmp_path)


def test_pairs_show_both_answers_learned_and_their_prompt_only_read(run_dir: Path, make_artifact: Any) -> None:
    from hftrain.alignment.preferences import PREFERENCE_FEATURES
    from hftrain.corpus.storage import write_rows

    prompt = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Name?"},
    ]
    pair = {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": "Ann."}],
        "rejected": [{"role": "assistant", "content": "No."}],
        "margin": 1.0,
    }
    make_artifact(
        run_dir / "preferences", "preferences", lambda out: write_rows(out / "train", [pair], PREFERENCE_FEATURES)
    )
    _, part = json.loads(seen(run_dir, as_json=True))["parts"]
    learned = [
        "".join(piece["text"] for piece in each["tokens"] if piece["state"] == "trained") for each in part["examples"]
    ]
    assert learned == ["Ann.<|im_end|>", "No.<|im_end|>"]
    with pytest.raises(DataError, match=r"preferences: 1 of 1 pairs have a row of more than 20 tokens"):
        seen(run_dir, "reward_model.max_row_tokens=20")
