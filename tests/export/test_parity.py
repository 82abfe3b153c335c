"""A good export agrees with its model; one that was damaged in any of several ways is refused, with the place."""

import math
import re
import shutil

import gguf
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from hftrain.errors import ArtifactError
from hftrain.export.exporters import exporter_for
from hftrain.export.measurement import Sample
from hftrain.export.parity import (
    CONVERSATION,
    Place,
    check_ids,
    check_log_probabilities,
    encode_by_template,
    parity_of,
)
from hftrain.export.samples import PROMPTS
from hftrain.models.loading import save_model
from hftrain.serving.engine import Question
from hftrain.serving.engine_text import TokenTexts
from hftrain.tokens.chat import encode_conversation, encode_prompt, load_tokenizer
from hftrain.tokens.vocabulary import learn_vocabulary, save_tokenizer

FORMATS = ("safetensors", "safetensors-bf16", "bnb-int8", "bnb-nf4", "onnx-fp32", "gguf-f16", "gguf-q8_0", "gguf-q4_0")


@pytest.fixture(scope="module")
def sample(model, tokenizer):
    parity = parity_of(model, tokenizer, (CONVERSATION, *PROMPTS))
    return Sample(("The cat sat on the mat.",), PROMPTS, 100, 6, parity)


@pytest.fixture(scope="module")
def source(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    save_model(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def exported(model, tokenizer, source, tmp_path_factory):
    """Format -> a folder of it, written once; damage goes into copies."""
    folders = {}
    for name in FORMATS:
        folders[name] = tmp_path_factory.mktemp("exported") / name
        exporter_for(name).write(model, tokenizer, source, folders[name])
    return folders


@pytest.fixture
def copied(exported, tmp_path):
    return lambda name: shutil.copytree(exported[name], tmp_path / name)


def swap_in_safetensors(path):
    tensors = load_file(path)
    one, two = ("model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight")
    tensors[one], tensors[two] = tensors[two].clone(), tensors[one].clone()
    save_file(tensors, path, metadata={"format": "pt"})


def swap_in_onnx(path):
    graph = onnx.load(path)
    alike = [each for each in graph.graph.initializer if list(each.dims) in ([128, 64], [64, 128])]
    one, two = sorted(alike, key=lambda each: each.name)[:2]
    one.raw_data, two.raw_data = two.raw_data, one.raw_data
    onnx.save(graph, path)


def swap_in_gguf(path):
    tensors = {each.name: each for each in gguf.GGUFReader(path, "r+").tensors}
    one, two = tensors["blk.0.ffn_gate.weight"].data, tensors["blk.0.ffn_up.weight"].data
    one[:], two[:] = two.copy(), one.copy()


SWAPS = {"model.safetensors": swap_in_safetensors, "model.onnx": swap_in_onnx, "model.gguf": swap_in_gguf}


@pytest.mark.parametrize("prompt", [CONVERSATION, *PROMPTS], ids=["conversation", "hello", "question"])
def test_training_the_template_and_the_server_give_the_same_token_ids(prompt, tokenizer):
    trained, _ = encode_conversation(tokenizer, [*prompt, {"role": "assistant", "content": ""}])
    asked = TokenTexts(tokenizer, 1000).prepare(Question(messages=prompt, new_tokens=4)).ids

    assert list(asked) == encode_prompt(tokenizer, prompt) == encode_by_template(tokenizer, prompt)
    assert trained[: len(asked)] == list(asked)


@pytest.mark.parametrize("name", FORMATS)
def test_a_good_export_agrees_within_its_formats_nats(name, model, tokenizer, exported, sample):
    found = exporter_for(name).measure(model, tokenizer, exported[name], sample)

    assert 0 <= found.off_by_nats < {"gguf-q4_0": 8, "safetensors-bf16": 0.5, "bnb-nf4": 8}.get(name, 0.1)


@pytest.mark.parametrize("name", FORMATS)
def test_swapped_weights_are_refused_with_the_format_and_the_place(name, model, tokenizer, copied, sample):
    exporter, folder = exporter_for(name), copied(name)
    SWAPS[exporter.weights](folder / exporter.weights)

    with pytest.raises(ArtifactError, match=rf"export, {name}: ") as refusal:
        exporter.measure(model, tokenizer, folder, sample)

    told = str(refusal.value)
    if name == "onnx-fp32":  # the file has other names for the matrices: its next tokens tell
        assert re.search(r"position \d+ of the conversation (system|user): .* nats from the model's", told)
    else:
        assert re.search(r"(gate_proj|ffn_gate|up_proj|ffn_up).*differs from the model's by", told)


@pytest.mark.parametrize("name", ["safetensors", "onnx-fp32"])
def test_another_vocabulary_is_refused_at_the_first_id_that_differs(name, model, tokenizer, copied, sample):
    folder = copied(name)
    save_tokenizer(learn_vocabulary(["Hello! Be brief, who are you?", "zebra"] * 3, vocab_size=275), folder)

    with pytest.raises(ArtifactError, match=rf"export, {name}: .* encodes the conversation system: 'Be brief.'"):
        exporter_for(name).measure(model, tokenizer, folder, sample)


def test_two_words_of_the_vocabulary_in_each_others_place_are_refused_in_a_gguf_file(
    model, tokenizer, source, sample, tmp_path, monkeypatch
):
    ids = tokenizer.get_vocab()
    swapped = ids | {"H": ids["B"], "B": ids["H"]}
    monkeypatch.setattr(tokenizer, "get_vocab", lambda: swapped)
    exporter_for("gguf-f16").write(model, tokenizer, source, tmp_path)
    monkeypatch.undo()

    with pytest.raises(ArtifactError, match=r"export, gguf-f16: llama.cpp encodes .* otherwise from position 8 on"):
        exporter_for("gguf-f16").measure(model, tokenizer, tmp_path, sample)


@pytest.mark.parametrize("name", ["safetensors", "onnx-fp32"])
def test_another_template_is_refused(name, model, tokenizer, copied, sample):
    folder = copied(name)
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("'\\n<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n'"))

    with pytest.raises(ArtifactError, match=rf"export, {name}: .* otherwise from position \d+ on"):
        exporter_for(name).measure(model, tokenizer, folder, sample)


def test_another_template_in_a_gguf_file_is_refused(model, tokenizer, source, sample, tmp_path):
    other = load_tokenizer(source)
    other.chat_template = other.chat_template.replace("'\\n<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n'")
    exporter_for("gguf-f16").write(model, other, source, tmp_path)

    with pytest.raises(ArtifactError, match="renders a conversation as"):
        exporter_for("gguf-f16").measure(model, tokenizer, tmp_path, sample)


def test_the_first_id_that_differs_is_the_one_that_is_told(model, tokenizer, sample):
    spoiled = {len(ids): [*ids[:3], 7, *ids[4:]] for ids in sample.parity.ids}

    with pytest.raises(ArtifactError, match=r"otherwise from position 3 on: \[7, "):
        check_ids("onnx-fp32", "here", sample.parity, lambda talk: spoiled[len(encode_prompt(tokenizer, talk))])


def test_the_largest_difference_is_given_back_and_one_above_the_formats_is_refused(tokenizer, sample):
    def off_by(nats):
        return lambda place: [each - nats for each in place.log_p]

    assert check_log_probabilities("gguf-f16", "here", sample.parity, tokenizer, off_by(0.01)) == pytest.approx(0.01)
    with pytest.raises(ArtifactError, match=r"0\.11 nats from the model's"):
        check_log_probabilities("gguf-f16", "here", sample.parity, tokenizer, off_by(0.11))
    for nothing in (math.nan, math.inf):
        with pytest.raises(ArtifactError, match="export, gguf-f16: here gives"):
            check_log_probabilities("gguf-f16", "here", sample.parity, tokenizer, off_by(nothing))


def test_places_are_spread_over_all_prompts_and_end_where_answers_begin(sample, model):
    parity = sample.parity

    assert {place.ids for place in parity.places} >= set(ids for ids in parity.ids if len(ids) < 128)
    assert 20 <= len(parity.places) <= 40
    place = parity.places[0]
    with torch.inference_mode():
        expected = model(torch.tensor([place.ids])).logits[0, -1].log_softmax(-1)
    assert isinstance(place, Place) and place.log_p[0] == pytest.approx(expected.max().item(), abs=1e-5)
    assert all(math.exp(log_p) >= 0.0099 for each in parity.places for log_p in each.log_p[1:])
