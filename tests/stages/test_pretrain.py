from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError
from hftrain.stages.pretrain import PretrainConfig, pretrain

MODEL = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
TRAINING = {
    "max_steps": 6,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "logging_steps": 2,
    "save_steps": 2,
}


def config(**given: Any) -> PretrainConfig:
    """A run of six steps of a model of one layer."""
    training = TRAINING | given.pop("training", {})
    usual = {"model": MODEL, "row_tokens": 32, "look_every_steps": 3, "heldout_bytes": 500, "look_bytes": 200}
    return PretrainConfig(seed=7, training=training, **(usual | given))


@pytest.fixture(scope="module")
def base(corpus_dir: Path, tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model trained without a break."""
    out = tmp_path_factory.mktemp("whole") / "base"
    return pretrain(config(), corpus=corpus_dir, tokenizer=tokenizer_dir, out=out)


def test_six_steps_lower_the_held_out_bits_per_byte(base: Path) -> None:
    summary = read_json(base / "summary.json")
    assert summary["heldout_bits_per_byte_after"] < summary["heldout_bits_per_byte_before"]
    assert summary["train_tokens"] == 6 * 4 * 32
    assert summary["unigram_bits_per_byte"] < summary["uniform_bits_per_byte"]


def test_the_model_loads_with_plain_transformers_and_its_weights_moved(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)
    fresh = AutoModelForCausalLM.from_config(model.config)
    assert model.config.use_cache
    assert not torch.equal(model.lm_head.weight, fresh.lm_head.weight)


def test_looks_are_taken_at_the_start_on_the_way_and_at_the_end(base: Path) -> None:
    assert sorted({row["step"] for row in read_jsonl(base / "samples.jsonl")}) == [0, 3, 6]
    scored = [row["step"] for row in read_jsonl(base / "metrics.jsonl") if "heldout_bits_per_byte" in row]
    assert scored == [0, 3, 6]


def test_nothing_of_the_work_is_left_in_the_artifact(base: Path) -> None:
    assert not (base / "scratch").exists()
    assert not list(base.parent.glob("*.partial")) + list(base.parent.glob("*.lock"))


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(
    base: Path, corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain.training.callbacks import LookEvery

    real = LookEvery.on_step_end

    def cut(self: LookEvery, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5:
            raise RuntimeError("cut")
        real(self, args, state, control, **kwargs)

    monkeypatch.setattr(LookEvery, "on_step_end", cut)
    with pytest.raises(RuntimeError, match="cut"):
        pretrain(config(), corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base")
    assert (tmp_path / "base.partial/scratch/checkpoint-4/complete").exists()
    monkeypatch.undo()

    made = pretrain(config(), corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base")
    assert read_manifest(made)["files"] == read_manifest(base)["files"]


def test_another_model_type_needs_no_code(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    gpt2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2}
    made = pretrain(
        config(model=gpt2, training={"max_steps": 2}), corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base"
    )
    assert read_json(made / "config.json")["n_positions"] == 32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": MODEL | {"vocab_size": 100}}, "vocab_size: 100, but the tokenizer has 320 tokens"),
        ({"model": MODEL | {"max_position_embeddings": 16}}, "max_position_embeddings: 16, but rows have 32"),
        ({"model": MODEL | {"hiden_size": 8}}, "pretrain.model.hiden_size: no such setting"),
        ({"model": {"model_type": "lama"}}, "model_type: 'lama' is unknown"),
        ({"training": {"save_steps": 3}}, "logging_steps 2 and save_steps 3"),
        ({"training": {"lr_scheduler_type": "sideways"}}, "upstream refuses it"),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    given: dict[str, Any], message: str, corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrain(config(**given), corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base")
