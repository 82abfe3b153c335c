import copy
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from hftrain.artifacts import read_manifest
from hftrain.errors import ArtifactError, ConfigError
from hftrain.export import folders, formats, one_stream
from hftrain.export.formats import FORMATS
from hftrain.export.one_stream import Stream
from hftrain.models.adapters import publish_adapter, with_adapter
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.stages.export import ExportConfig, export
from hftrain.tokens.chat import load_tokenizer

ALL = (*ExportConfig().formats, "safetensors-bf16")
CONFIG = ExportConfig(seed=1, formats=ALL, text_bytes=400, prompt_count=2, answer_tokens=6)


@pytest.fixture(scope="module")
def policy(tmp_path_factory, tiny_model, make_artifact):
    model, tokenizer = tiny_model(hidden_size=64)
    folder = tmp_path_factory.mktemp("models") / "policy"
    return make_artifact(folder, "policy", lambda out: save_model(model, tokenizer, out))


@pytest.fixture(scope="module")
def exported(policy, corpus_dir, tmp_path_factory):
    return export(CONFIG, policy=policy, corpus=corpus_dir, out=tmp_path_factory.mktemp("run") / "export")


def test_every_format_is_there_with_its_size_its_cost_and_what_loads_it(exported, policy):
    summary = json.loads((exported / "summary.json").read_text())

    assert list(summary["formats"]) == sorted(ALL)
    assert summary["model_digest"] == read_manifest(policy)["digest"]
    sizes = {name: found["weight_bytes"] for name, found in summary["formats"].items()}
    assert sizes["safetensors"] > sizes["gguf-f16"] > sizes["gguf-q8_0"] > sizes["gguf-q4_0"]
    assert sizes["safetensors"] > sizes["safetensors-bf16"]
    assert sizes["safetensors"] > sizes["bnb-int8"] > sizes["bnb-nf4"]
    for name, found in summary["formats"].items():
        assert (exported / name).is_dir()
        assert found["ratio"] == pytest.approx(1, abs=FORMATS[name].tolerance)
        assert 0 <= found["greedy_agreement"] <= 1 and 0 <= found["equal_answers"] <= 1
        assert 0 <= found["off_by_nats"] <= FORMATS[name].nats
        assert found["keeps"] == FORMATS[name].keeps
    assert summary["formats"]["safetensors"]["greedy_agreement"] == 1
    assert summary["formats"]["gguf-q8_0"]["loads_with"] == ["llama.cpp", "transformers"]


def test_speeds_and_memory_stand_in_the_manifest_and_outside_of_what_is_digested(exported):
    manifest = read_manifest(exported)

    measured = {"tokens_per_second", "peak_memory_bytes"}
    assert set(manifest["measured"]) == {f"{name}_{each}" for name in ("full", *ALL) for each in measured}
    assert min(manifest["measured"].values()) > 0
    assert set(manifest["outside"]) == {"bitsandbytes", "gguf", "xllamacpp"}
    summary = (exported / "summary.json").read_text()
    assert "tokens_per_second" not in summary and "peak_memory" not in summary


def test_a_second_run_gives_the_same_bytes(exported, policy, corpus_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(one_stream, "measure_stream", lambda job: Stream(1.0, 1.0, 1))  # no speed is in a file

    again = export(CONFIG, policy=policy, corpus=corpus_dir, out=tmp_path / "export")

    assert read_manifest(again)["files"] == read_manifest(exported)["files"]


@pytest.mark.slow
def test_onnx_files_have_the_same_bytes_in_another_process(policy, corpus_dir, tmp_path):
    names = ("onnx-fp32", "onnx-int8")
    made = export(replace(CONFIG, formats=names), policy=policy, corpus=corpus_dir, out=tmp_path / "export")
    script = (
        "import sys; from pathlib import Path; from hftrain.stages.export import ExportConfig, export\n"
        f"export(ExportConfig(seed=1, formats={names}, text_bytes=400, prompt_count=2, answer_tokens=6), "
        f"policy=Path({str(policy)!r}), corpus=Path({str(corpus_dir)!r}), out=Path({str(tmp_path / 'again')!r}))"
    )

    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONHASHSEED": "7"})

    assert read_manifest(tmp_path / "again")["files"] == read_manifest(made)["files"]


@pytest.mark.parametrize("name", ["safetensors", "bnb-nf4"])
def test_plain_transformers_answers_from_an_exported_folder(name, exported):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (each.from_pretrained(exported / name) for each in (AutoModelForCausalLM, AutoTokenizer))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello!"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )

    made = model.generate(**prompt, max_new_tokens=3, do_sample=False)

    assert made.shape[1] > prompt["input_ids"].shape[1]


def test_a_format_that_fell_too_far_behind_is_refused_and_nothing_is_published(
    policy, corpus_dir, tmp_path, monkeypatch
):
    strict = {name: replace(found, tolerance=1e-9) for name, found in FORMATS.items()}
    monkeypatch.setattr(formats, "FORMATS", strict)
    config = replace(CONFIG, formats=("bnb-nf4",))

    with pytest.raises(ArtifactError, match="export, bnb-nf4: .* times the model's"):
        export(config, policy=policy, corpus=corpus_dir, out=tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_damage_between_writing_and_loading_is_refused_and_nothing_is_published(
    policy, corpus_dir, tmp_path, monkeypatch
):
    def write_damaged(model, tokenizer, folder):
        model.model.embed_tokens.weight.data = model.model.embed_tokens.weight.data.roll(1, 0)
        save_model(model, tokenizer, folder)

    monkeypatch.setattr(folders, "save_model", lambda model, *rest: write_damaged(copy.deepcopy(model), *rest))

    with pytest.raises(ArtifactError, match="export, safetensors: .*embed_tokens.weight differs"):
        export(replace(CONFIG, formats=("safetensors",)), policy=policy, corpus=corpus_dir, out=tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_adapter_leaves_the_run_alone_and_gives_the_model_again(chat_dir, make_artifact, corpus_dir, tmp_path):
    base, tokenizer = load_causal_lm(chat_dir), load_tokenizer(chat_dir)
    torch.manual_seed(3)
    adapted = with_adapter(base, {"r": 2, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False})
    merged = tmp_path / "policy"
    make_artifact(merged, "policy", lambda out: save_model(publish_adapter(adapted, out), tokenizer, out))

    out = export(replace(CONFIG, formats=("lora",)), policy=merged, corpus=corpus_dir, out=tmp_path / "export")

    summary = json.loads((out / "summary.json").read_text())["formats"]["lora"]
    assert summary["greedy_agreement"] == 1 and summary["ratio"] == pytest.approx(1, abs=1e-5)
    assert summary["weight_bytes"] < (merged / "model.safetensors").stat().st_size / 5
    assert (out / "lora" / "adapter_config.json").read_bytes() == (merged / "adapter/adapter_config.json").read_bytes()


def test_a_missing_package_is_told_before_any_work(policy, corpus_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "package_version", {"gguf": "0.19.0"}.get)

    with pytest.raises(ConfigError, match=r"xllamacpp is not installed. Run: pip install 'hftrain\[gguf\]'"):
        export(
            replace(CONFIG, formats=("safetensors", "gguf-f16")),
            policy=policy,
            corpus=corpus_dir,
            out=tmp_path / "export",
        )
    assert list(tmp_path.glob("export.partial/*")) == []


def test_a_model_that_a_format_cannot_hold_is_refused_before_any_is_written(
    tiny_model, make_artifact, corpus_dir, tmp_path
):
    model, tokenizer = tiny_model()  # 32 wide
    narrow = make_artifact(tmp_path / "policy", "policy", lambda out: save_model(model, tokenizer, out))

    with pytest.raises(ConfigError, match="bnb-nf4 of .* whose rows hold 32 weights"):
        export(CONFIG, policy=narrow, corpus=corpus_dir, out=tmp_path / "export")
    assert not (tmp_path / "export.partial" / "safetensors").exists()


def test_sizes_that_measure_nothing_are_told():
    problems = ExportConfig(text_bytes=0, answer_tokens=0).problems()

    assert [problem.split(":")[0] for problem in problems] == ["export.text_bytes", "export.answer_tokens"]


def test_the_stage_is_light_to_import():
    check = "import sys, hftrain.stages.export as it; it.ExportConfig().problems(); print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
