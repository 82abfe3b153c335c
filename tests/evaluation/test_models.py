from pathlib import Path

import pytest

from hftrain.errors import ArtifactError
from hftrain.evaluation.models import each_model, exported, load


def test_models_are_opened_with_their_tokenizers(chat_dir: Path) -> None:
    (asked,) = each_model({"chat": chat_dir})

    assert asked.name == "chat" and asked.tokenizer_digest.startswith("sha256:")


def test_exports_that_transformers_opens_are_named(tmp_path: Path) -> None:
    for name, files in {
        "bnb-nf4": ("config.json", "tokenizer.json"),
        "gguf-q8_0": ("model.gguf",),
        "safetensors": ("config.json", "tokenizer.json"),
        "onnx": ("model.onnx",),
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}")

    assert list(exported(tmp_path)) == ["export bnb-nf4", "export gguf-q8_0"]


def test_without_the_package_that_reads_them_gguf_files_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hftrain.evaluation.models.find_spec", lambda name: None)
    (tmp_path / "gguf-f16").mkdir()
    (tmp_path / "gguf-f16" / "model.gguf").write_text("")

    assert exported(tmp_path) == {}


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no config\.json"):
        load(tmp_path)
