import pytest

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.exporters import check_model, judge
from hftrain.export.formats import FORMATS
from hftrain.export.measurement import Measured

FULL = Measured(runtime="transformers", bits_per_byte=2.0, answers=((1, 2),), tokens_per_second=1.0)


def test_a_model_that_fits_every_format_is_accepted(model, tokenizer):
    check_model(tuple(FORMATS), model, tokenizer)


def test_the_problems_of_all_formats_are_told_at_once(make_model, tokenizer):
    model = make_model(intermediate_size=100)

    with pytest.raises(ConfigError) as refusal:
        check_model(tuple(FORMATS), model, tokenizer)

    assert [line.split(" of ")[0] for line in str(refusal.value).splitlines()] == [
        "export.formats: bnb-nf4",
        "export.formats: gguf-q8_0",
    ]


def test_a_format_is_judged_by_its_own_runtime_and_names_all_that_load_it(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"12345")
    found = Measured("llama.cpp", 2.001, ((1, 3),), 9.0, read_by={"transformers": 1.999})

    summary = judge("gguf-f16", tmp_path, FULL, found)

    assert summary == {
        "bytes": 5,
        "weight_bytes": 5,
        "bits_per_byte": 2.001,
        "ratio": pytest.approx(1.0005),
        "greedy_agreement": 0.5,
        "measured_with": "llama.cpp",
        "loads_with": ["llama.cpp", "transformers"],
        "ratios": {"llama.cpp": pytest.approx(1.0005), "transformers": pytest.approx(0.9995)},
    }


def test_a_format_that_one_of_its_runtimes_reads_badly_is_refused(tmp_path):
    found = Measured("llama.cpp", 2.0, ((1, 2),), 9.0, read_by={"transformers": 2.1})

    with pytest.raises(ArtifactError, match="gguf-f16: 2.1 bits per byte in transformers, 1.05 times the model's 2"):
        judge("gguf-f16", tmp_path, FULL, found)
