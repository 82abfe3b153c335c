import pytest
import torch

from hftrain.errors import ConfigError

pytest.importorskip("torchao", reason="torchao is not installed: pip install 'hftrain[torchao]'")

from hftrain.artifacts import digest_folder
from hftrain.export.folders import load_as_it_is
from hftrain.export.torchao_folder import TorchaoFolder
from hftrain.models.loading import save_model


def test_four_bits_are_refused_on_a_cpu_with_torchaos_own_reason_and_what_else_there_is(model, tokenizer, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU may have kernels for it")

    with pytest.raises(ConfigError, match="torchao-int4 by torchao .* on cpu. torchao rounds no matrix so here: .*nf4"):
        TorchaoFolder("torchao-int4").check(model, tokenizer, tmp_path)


def test_eight_bits_come_back_from_disk_as_they_were_written_with_the_same_bytes(model, tokenizer, tmp_path):
    save_model(model, tokenizer, tmp_path / "source")
    exporter = TorchaoFolder("torchao-int8")
    exporter.check(model, tokenizer, tmp_path)
    for name in ("first", "second"):
        exporter.write(model, tokenizer, tmp_path / "source", tmp_path / name)

    loaded, ids = load_as_it_is(tmp_path / "first"), torch.arange(5, 30)[None]
    with torch.inference_mode():
        off = (loaded(ids).logits - model(ids).logits).abs().max()

    assert 0 < off < 2
    assert digest_folder(tmp_path / "first") == digest_folder(tmp_path / "second")
