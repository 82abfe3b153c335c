from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

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


def test_an_output_table_of_its_own_begins_with_every_token_as_likely(
    corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    own = config(model=MODEL | {"tie_word_embeddings": False})
    summary = read_json(
        pretrain(own, corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base") / "summary.json"
    )
    assert summary["heldout_bits_per_byte_before"] == pytest.approx(summary["uniform_bits_per_byte"], rel=1e-5)
    assert summary["heldout_bits_per_byte_after"] < summary["heldout_bits_per_byte_before"]


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


def test_what_was_derived_is_kept_with_its_rules(base: Path) -> None:
    derived = read_json(base / "derived.json")
    assert derived["training"]["max_steps"] == 6 and derived["model"]["hidden_size"] == 32
    assert any(line.startswith("max_steps 6: as you set it") for line in derived["rules"])
    assert any(line.startswith("adam_beta2") and "arXiv" in line for line in derived["rules"])


@pytest.mark.parametrize("model", [{}, {"model_type": "lfm2"}])
def test_a_size_alone_is_enough(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path, model: dict[str, str]) -> None:
    made = pretrain(
        config(size="60k", model=model, row_tokens=None, training={"max_steps": 2}),
        corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base",
    )  # fmt: skip
    assert read_json(made / "summary.json")["parameters"] == pytest.approx(60_000, rel=0.15)


def test_an_encoder_learns_masked_words_and_opens_with_plain_transformers(
    corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    encoder = {"model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    made = pretrain(
        config(objective="masked_words", model=encoder, training={"max_steps": 20}),
        corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base",
    )  # fmt: skip
    summary = read_json(made / "summary.json")
    assert summary["heldout_masked_nats_after"] < summary["heldout_masked_nats_before"]
    assert AutoTokenizer.from_pretrained(made).mask_token == "<|mask|>"
    assert AutoModelForMaskedLM.from_pretrained(made).config.vocab_size == 321


def test_a_base_goes_on_from_its_weights_with_its_own_tokenizer(
    base: Path, corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    made = pretrain(
        config(base=str(base), model={}, training={"max_steps": 2}),
        corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base",
    )  # fmt: skip
    before = read_json(base / "summary.json")["heldout_bits_per_byte_after"]
    assert read_json(made / "summary.json")["heldout_bits_per_byte_before"] == pytest.approx(before)
    assert any("base" in name for name in read_manifest(made)["outside"])


def test_an_adapter_is_trained_alone_merged_and_kept_beside(
    base: Path, corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    adapter = {"r": 4, "target_modules": ["q_proj"]}
    made = pretrain(
        config(base=str(base), model={}, adapter=adapter, training={"max_steps": 2}),
        corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base",
    )  # fmt: skip
    old, new = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, made))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"model.layers.0.self_attn.q_proj.weight"}
    assert (made / "adapter" / "adapter_model.safetensors").is_file()


def test_documents_kept_whole_and_apart_are_counted(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    made = pretrain(
        config(packing="whole", document_masking=True, training={"max_steps": 2}),
        corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base",
    )  # fmt: skip
    packing = read_json(made / "summary.json")["packing"]
    assert packing["packing"] == "whole"
    assert packing["tokens"] + packing["padding_tokens"] == packing["rows"] * 32


def test_a_time_budget_ends_the_run_with_its_rate_brought_down(
    corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    training = {"per_device_train_batch_size": 4, "logging_steps": 1, "save_steps": 50}
    given = PretrainConfig(
        seed=7, model=MODEL, row_tokens=32, heldout_bytes=500, look_bytes=200, look_every_steps=1000,
        training=training, max_minutes=0.2,
    )  # fmt: skip
    made = pretrain(given, corpus=corpus_dir, tokenizer=tokenizer_dir, out=tmp_path / "base")
    rates = [row["learning_rate"] for row in read_jsonl(made / "metrics.jsonl") if "learning_rate" in row]
    assert read_manifest(made)["seconds"] < 2 * 12
    assert rates[-1] < 0.1 * max(rates) and len(rates) == read_json(made / "summary.json")["steps"] > 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base": "nowhere"}, "base: nowhere is not a folder"),
        ({"max_minutes": 1, "training": {"max_steps": 3}}, "training.max_steps: is set, but max_minutes"),
        ({"max_minutes": -1}, "max_minutes: -1. More than 0"),
        ({"objective": "masked_words", "document_masking": True}, "An encoder's rows take none"),
    ],
)
def test_settings_that_contradict_each_other_are_told_before_any_work(given: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in PretrainConfig(seed=1, **given).problems())


def test_a_base_with_another_shape_is_told(base: Path) -> None:
    problems = PretrainConfig(seed=1, base=str(base), size="mini").problems()
    assert any("size: is set, but the base has a shape of its own" in problem for problem in problems)


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
