import json
import logging

import pytest
import torch

from hftrain.artifacts import digest_folder
from hftrain.errors import ConfigError
from hftrain.export.rounded import Rounded, load_rounded, row_widths
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.models.quantized_base import drop_notices

NAMES = ("bnb-int8", "bnb-nf4")
IDS = torch.tensor([[5, 70, 200, 31, 300, 8, 9, 100]])


@pytest.fixture(scope="module")
def source(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    save_model(model, tokenizer, folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_what_is_loaded_from_disk_computes_what_was_written(name, source, model, tokenizer, tmp_path):
    Rounded(name).write(model, tokenizer, source, tmp_path)

    with torch.inference_mode():
        before, after = load_rounded(source, name)(IDS).logits, load_causal_lm(tmp_path)(IDS).logits

    assert torch.equal(before, after)
    assert not torch.equal(before, model(IDS).logits)


@pytest.mark.parametrize(("name", "error"), [("bnb-int8", 0.02), ("bnb-nf4", 0.105)])
def test_a_rounded_matrix_answers_within_its_formats_error(name, error, source, model):
    inputs = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    rounded, exact = (each.model.layers[0].mlp.up_proj for each in (load_rounded(source, name), model))

    with torch.inference_mode():
        difference = (rounded(inputs) - exact(inputs)).norm() / exact(inputs).norm()

    assert 0 < difference < error


@pytest.mark.parametrize("name", NAMES)
def test_tables_norms_and_the_output_layer_stay_as_they_were(name, source, model, tokenizer, tmp_path):
    Rounded(name).write(model, tokenizer, source, tmp_path)

    loaded = load_causal_lm(tmp_path)

    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert torch.equal(loaded.get_output_embeddings().weight, model.get_output_embeddings().weight)
    assert torch.equal(loaded.model.norm.weight, model.model.norm.weight)
    assert loaded.model.layers[0].mlp.up_proj.weight.dtype in (torch.int8, torch.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_model_gives_the_same_files_with_no_trace_of_where(name, source, model, tokenizer, tmp_path):
    for folder in (tmp_path / "first", tmp_path / "second"):
        Rounded(name).write(model, tokenizer, source, folder)

    assert digest_folder(tmp_path / "first") == digest_folder(tmp_path / "second")
    for path in (tmp_path / "first").glob("*.json"):
        assert str(source) not in path.read_text()
    assert "_name_or_path" not in json.loads((tmp_path / "first" / "config.json").read_text())


def test_rows_that_bitsandbytes_reads_wrongly_in_4_bits_are_refused(make_model, tokenizer, tmp_path):
    model = make_model(intermediate_size=96)

    with pytest.raises(ConfigError, match="bnb-nf4 of model.layers.0.mlp.down_proj, whose rows hold 96 weights"):
        Rounded("bnb-nf4").check(model, tokenizer, tmp_path)
    Rounded("bnb-int8").check(model, tokenizer, tmp_path)


def test_row_widths_are_those_of_inputs_whatever_way_a_matrix_is_stored(make_model):
    widths = row_widths(make_model("gpt2", n_inner=128))

    assert widths["transformer.h.0.mlp.c_fc"] == 64
    assert widths["transformer.h.0.mlp.c_proj"] == 128
    assert "lm_head" not in widths


def test_the_notice_of_each_product_is_dropped_and_other_warnings_are_not(source, caplog):
    drop_notices()
    logger = logging.getLogger("bitsandbytes.autograd._functions")

    with caplog.at_level(logging.WARNING), torch.inference_mode():
        load_rounded(source, "bnb-int8")(IDS)
        logger.warning("something new")

    assert [record.getMessage() for record in caplog.records] == ["something new"]
