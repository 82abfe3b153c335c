from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError, DataError
from hftrain.stages.sft import SFTStageConfig, sft

TRAINING = {
    "max_steps": 30, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "logging_steps": 5, "save_steps": 10,
}  # fmt: skip


def config(**given: Any) -> SFTStageConfig:
    """Thirty steps on sixteen conversations."""
    return SFTStageConfig(seed=3, training=TRAINING | given.pop("training", {}), **({"look_every_steps": 10} | given))


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any, make_artifact: Any) -> Path:
    from hftrain.models.loading import save_model

    return make_artifact(tmp_path_factory.mktemp("models") / "base", "base", lambda out: save_model(*tiny_model(), out))


@pytest.fixture(scope="module")
def chat(base_dir: Path, corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path_factory.mktemp("sft") / "chat")


def test_answers_get_likelier_and_begin_to_end_by_themselves(chat: Path) -> None:
    summary = read_json(chat / "summary.json")
    assert summary["heldout_answer_nats_after"] < summary["heldout_answer_nats_before"] - 1
    assert summary["ended_share_before"] == 0
    assert summary["ended_share_after"] > 0.5


def test_the_model_loads_with_plain_transformers(chat: Path) -> None:
    assert AutoModelForCausalLM.from_pretrained(chat).config.use_cache


def test_examples_show_that_only_answers_and_their_ends_are_trained(chat: Path) -> None:
    tokens = read_json(chat / "label_examples.json")[0]["tokens"]
    assert "".join(piece["text"] for piece in tokens if piece["trained"]) == "Hello! How are you today?<|im_end|>"
    assert "".join(piece["text"] for piece in tokens if not piece["trained"]) == (
        "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
    )


def test_samples_through_time_are_kept(chat: Path) -> None:
    assert sorted({row["step"] for row in read_jsonl(chat / "samples.jsonl")}) == [0, 10, 20, 30]


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(
    chat: Path, base_dir: Path, corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain.training.callbacks import ProgressLine

    def cut(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 17:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut)
    with pytest.raises(RuntimeError, match="cut"):
        sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    monkeypatch.undo()

    made = sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    assert read_manifest(made)["files"] == read_manifest(chat)["files"]


def test_rows_longer_than_the_context_are_refused_before_training(
    base_dir: Path, corpus_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="max_row_tokens: 4096, but the model's context is 128"):
        sft(config(max_row_tokens=4096), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")


def test_too_many_conversations_left_out_is_an_error_with_the_count(
    base_dir: Path, corpus_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"16 of 16 conversations were left out \(too_long 16\)"):
        sft(config(max_row_tokens=8, new_tokens=4), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
