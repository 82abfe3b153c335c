import sys

import numpy as np
import onnx
import pytest
import torch

from hftrain.errors import ConfigError
from hftrain.export.exporters import exporter_for
from hftrain.export.onnx_folder import OnnxModel
from hftrain.export.onnx_model import FILE, check_onnx
from hftrain.models.generation import answer_prompts
from hftrain.tokens.chat import encode_prompt

TALK = [{"role": "user", "content": "Where is the cat?"}]


@pytest.fixture(scope="module")
def folder(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    exporter_for("onnx-fp32").write(model, tokenizer, folder, folder)
    return folder


def test_rows_of_any_number_and_length_padded_on_the_right_get_the_logits_of_transformers(folder, model):
    ids = torch.randint(4, 320, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(11)[None] < torch.tensor([[11], [7], [1]])).long()

    with torch.inference_mode():
        expected, found = model(ids, attention_mask=mask).logits, OnnxModel(folder)(ids, attention_mask=mask).logits

    torch.testing.assert_close(found[mask == 1], expected[mask == 1], atol=1e-4, rtol=1e-4)


def test_the_cache_carries_an_answer_on_to_that_of_transformers(folder, model, tokenizer):
    [[ours]] = answer_prompts(model, tokenizer, [TALK], new_tokens=12, temperature=0, seed=0)

    theirs = OnnxModel(folder).answer(encode_prompt(tokenizer, TALK), 12)

    assert tuple(theirs[: len(ours.tokens)]) == ours.tokens and len(theirs) == 12


def test_inputs_and_outputs_have_the_names_that_other_runtimes_expect(folder):
    graph = onnx.load(folder / FILE).graph

    sizes = {each.name: [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim]
             for each in (*graph.input, *graph.output)}  # fmt: skip
    assert sizes == {
        "input_ids": ["rows", "tokens"],
        "attention_mask": ["rows", "all"],
        "position_ids": ["rows", "tokens"],
        "past_key_values.0.key": ["rows", 2, "past", 16],
        "past_key_values.0.value": ["rows", 2, "past", 16],
        "logits": ["rows", "tokens", 320],
        "present.0.key": ["rows", 2, "all", 16],
        "present.0.value": ["rows", 2, "all", 16],
    }


def test_the_file_says_nothing_of_where_it_was_made_and_holds_a_shared_table_once(folder, model):
    whole = (folder / FILE).read_bytes()

    assert sys.prefix.encode() not in whole and b"modeling_" not in whole and b".py" not in whole
    numbers = sum(int(np.prod(each.dims)) for each in onnx.load(folder / FILE).graph.initializer)
    assert numbers < sum(each.numel() for each in model.parameters()) * 1.05


def test_a_type_that_was_never_compared_is_refused(make_model):
    model = make_model()
    model.config.model_type = "gpt_neox"

    with pytest.raises(ConfigError, match="onnx-int8 of a gpt_neox model. llama, qwen3, gpt2 can be written"):
        check_onnx(model, "onnx-int8")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["qwen3", "gpt2"])
def test_other_types_compute_alike(model_type, make_model, tokenizer, tmp_path):
    model, ids = make_model(model_type), torch.arange(5, 30)[None]
    exporter_for("onnx-fp32").write(model, tokenizer, tmp_path, tmp_path)
    loaded = OnnxModel(tmp_path)

    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-3, rtol=1e-3)
        expected = model.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0, 25:].tolist()
    assert loaded.answer(ids[0].tolist(), 8) == expected
