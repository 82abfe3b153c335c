import pytest

from hftrain.errors import ArtifactError
from hftrain.export import formats
from hftrain.export.formats import FORMATS, check_quality, format_problems, package_versions


def test_all_formats_together_have_no_problem(monkeypatch):
    monkeypatch.setattr(formats, "package_version", lambda package: "1.0")

    assert format_problems(tuple(FORMATS)) == []


def test_an_unknown_and_a_repeated_format_are_both_told():
    unknown, repeated = format_problems(("gguf-q4", "safetensors", "safetensors"))

    assert "'gguf-q4' is not a format" in unknown and "gguf-q8_0" in unknown
    assert "safetensors stands there 2 times" in repeated


def test_no_format_at_all_is_a_problem():
    assert "At least one format is needed" in format_problems(())[0]


def test_a_missing_package_names_the_extra_that_installs_it(monkeypatch):
    installed = {"gguf": "0.19.0", "bitsandbytes": "0.50.2"}
    monkeypatch.setattr(formats, "package_version", installed.get)

    (problem,) = format_problems(("safetensors", "bnb-nf4", "gguf-f16"))

    assert "xllamacpp is not installed" in problem
    assert "pip install 'hftrain[gguf]'" in problem


def test_a_missing_package_without_an_extra_is_named_itself(monkeypatch):
    monkeypatch.setattr(formats, "package_version", lambda package: None)

    (problem,) = format_problems(("bnb-nf4",))

    assert "pip install bitsandbytes, or remove bnb-nf4" in problem


def test_only_packages_of_the_chosen_formats_are_recorded():
    assert list(package_versions(("safetensors",))) == []
    assert list(package_versions(("gguf-f16", "safetensors"))) == ["gguf", "xllamacpp"]


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [("gguf-f16", 2.0019, 2.0021), ("gguf-q8_0", 1.981, 1.979), ("bnb-int8", 2.019, 2.021), ("bnb-nf4", 2.19, 2.21)],
)
def test_each_format_is_held_to_its_own_share_of_the_models_two_bits(name, within, beyond):
    check_quality(name, "here", within, 2.0)
    with pytest.raises(ArtifactError, match=f"export, {name}: .* bits per byte in here"):
        check_quality(name, "here", beyond, 2.0)


def test_a_model_that_says_nan_is_refused():
    with pytest.raises(ArtifactError, match="nan"):
        check_quality("bnb-nf4", "here", float("nan"), 2.0)
