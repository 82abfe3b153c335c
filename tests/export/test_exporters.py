import pytest

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.exporters import check_model, judge
from hftrain.export.measurement import Measured

HERE = ("safetensors", "safetensors-bf16", "bnb-int8", "bnb-nf4", "onnx-int8", "gguf-q8_0", "gguf-q4_0")
FULL = Measured(runtime="transformers", bits_per_byte=2.0, answers=((1, 2),))


def test_a_model_that_fits_every_format_is_accepted(model, tokenizer, tmp_path):
    check_model(HERE, model, tokenizer, tmp_path)


def test_the_problems_of_all_formats_are_told_at_once(make_model, tokenizer, tmp_path):
    model = make_model(intermediate_size=100)
    model.config.model_type = "gpt_neox"

    with pytest.raises(ConfigError) as refusal:
        check_model((*HERE, "lora"), model, tokenizer, tmp_path)

    assert [line.split(" of ")[0] for line in str(refusal.value).splitlines()] == [
        "export.formats: bnb-nf4",
        "export.formats: onnx-int8",
        "export.formats: gguf-q8_0",
        "export.formats: gguf-q4_0",
        "export.formats: lora",
    ]


def test_a_format_is_judged_by_its_own_runtime_and_names_all_that_load_it(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"12345")
    found = Measured("llama.cpp", 2.001, ((1, 3),), read_by={"transformers": 1.999})

    summary = judge("gguf-f16", tmp_path, FULL, found)

    assert summary == {
        "bytes": 5,
        "weight_bytes": 5,
        "bits_per_byte": 2.001,
        "ratio": pytest.approx(1.0005),
        "greedy_agreement": 0.5,
        "equal_answers": 0.0,
        "off_by_nats": 0.0,
        "keeps": "norms, biases, positions",
        "measured_with": "llama.cpp",
        "loads_with": ["llama.cpp", "transformers"],
        "ratios": {"llama.cpp": pytest.approx(1.0005), "transformers": pytest.approx(0.9995)},
    }


def test_a_format_that_one_of_its_runtimes_reads_badly_is_refused(tmp_path):
    found = Measured("llama.cpp", 2.0, ((1, 2),), read_by={"transformers": 2.1})

    with pytest.raises(ArtifactError, match="gguf-f16: 2.1 bits per byte in transformers, 1.05 times the model's 2"):
        judge("gguf-f16", tmp_path, FULL, found)
