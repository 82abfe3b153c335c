import json
import subprocess
import sys
from dataclasses import replace

import pytest

from hftrain.artifacts import read_manifest
from hftrain.errors import ArtifactError, ConfigError
from hftrain.export import formats
from hftrain.export.formats import FORMATS
from hftrain.models.loading import save_model
from hftrain.stages.export import ExportConfig, export

CONFIG = ExportConfig(seed=1, text_bytes=400, prompt_count=2, answer_tokens=6)


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

    assert list(summary["formats"]) == sorted(FORMATS)
    assert summary["model_digest"] == read_manifest(policy)["digest"]
    sizes = {name: found["weight_bytes"] for name, found in summary["formats"].items()}
    assert sizes["safetensors"] > sizes["gguf-f16"] > sizes["gguf-q8_0"]
    assert sizes["safetensors"] > sizes["bnb-int8"] > sizes["bnb-nf4"]
    for name, found in summary["formats"].items():
        assert (exported / name).is_dir()
        assert found["ratio"] == pytest.approx(1, abs=FORMATS[name].tolerance)
        assert 0 <= found["greedy_agreement"] <= 1
    assert summary["formats"]["safetensors"]["greedy_agreement"] == 1
    assert summary["formats"]["gguf-q8_0"]["loads_with"] == ["llama.cpp", "transformers"]


def test_speeds_stand_in_the_manifest_and_outside_of_what_is_digested(exported):
    manifest = read_manifest(exported)

    assert set(manifest["measured"]) == {f"{name}_tokens_per_second" for name in ("full", *FORMATS)}
    assert min(manifest["measured"].values()) > 0
    assert set(manifest["outside"]) == {"bitsandbytes", "gguf", "xllamacpp"}
    assert "tokens_per_second" not in (exported / "summary.json").read_text()


def test_a_second_run_gives_the_same_bytes(exported, policy, corpus_dir, tmp_path):
    again = export(CONFIG, policy=policy, corpus=corpus_dir, out=tmp_path / "export")

    assert read_manifest(again)["files"] == read_manifest(exported)["files"]


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
