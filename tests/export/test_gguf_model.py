import gguf
import numpy as np
import pytest
import torch

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export import gguf_model
from hftrain.export.gguf_folder import read_gguf
from hftrain.export.gguf_model import (
    ARCHITECTURES,
    FILE,
    check_gguf,
    matrices_in,
    rotated_in_pairs,
    write_gguf,
)
from hftrain.export.llama_cpp import LlamaCpp
from hftrain.tokens.chat import encode_text

TEXT = "The cat ran after the dog, and the children played in the garden."


@torch.inference_mode()
def nats_of(model, ids):
    log_p_LV = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [-log_p_LV[index, ids[index + 1]].item() for index in range(len(ids) - 1)]


def nats_in_llama_cpp(path, tokenizer, ids):
    llama = LlamaCpp(path)
    plain = tokenizer.convert_tokens_to_ids("a")
    return [llama.nats(ids[:index], ids[index], plain) for index in range(1, len(ids))]


def test_rows_of_two_heads_go_from_halves_to_pairs():
    rows = np.arange(8.0).reshape(8, 1)

    assert rotated_in_pairs(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("model_type", sorted(ARCHITECTURES))
def test_llama_cpp_gives_each_token_the_probability_that_transformers_gives(
    model_type, make_model, tokenizer, tmp_path
):
    model, ids = make_model(model_type), encode_text(tokenizer, TEXT)

    write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")

    theirs = nats_in_llama_cpp(tmp_path / FILE, tokenizer, ids)
    assert theirs == pytest.approx(nats_of(model, ids), abs=0.05)


def test_without_the_reordering_of_queries_and_keys_llama_cpp_computes_something_else(
    model, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(gguf_model, "rotated_in_pairs", lambda weight, heads: weight)
    ids = encode_text(tokenizer, TEXT)

    write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")

    theirs = nats_in_llama_cpp(tmp_path / FILE, tokenizer, ids)
    assert max(abs(a - b) for a, b in zip(theirs, nats_of(model, ids), strict=True)) > 0.5


@pytest.mark.parametrize(("precision", "tolerance"), [("f16", 0.02), ("q8_0", 0.5)])
def test_transformers_reads_the_same_model_back(precision, tolerance, model, tokenizer, tmp_path):
    ids = torch.tensor([encode_text(tokenizer, TEXT)])

    write_gguf(model, tokenizer, tmp_path / FILE, precision=precision)
    loaded, _ = read_gguf(tmp_path)

    with torch.inference_mode():
        ours, theirs = model(ids).logits, loaded(ids).logits
    assert ours.abs().max() > 2
    torch.testing.assert_close(theirs, ours, atol=tolerance, rtol=0)
    for name in ("vocab_size", "hidden_size", "num_key_value_heads", "rms_norm_eps", "max_position_embeddings"):
        assert getattr(loaded.config, name) == pytest.approx(getattr(model.config, name))
    assert loaded.config.rope_parameters["rope_theta"] == model.config.rope_parameters["rope_theta"]
    assert loaded.config.tie_word_embeddings


def test_an_untied_model_with_spare_table_rows_keeps_both_tables(make_model, tokenizer, tmp_path):
    model = make_model(tie_word_embeddings=False, vocab_size=384)
    ids = encode_text(tokenizer, TEXT)

    write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")

    assert nats_in_llama_cpp(tmp_path / FILE, tokenizer, ids) == pytest.approx(nats_of(model, ids), abs=0.05)


def test_matrices_in_8_bits_take_34_bytes_where_16_bits_take_64(model, tokenizer, tmp_path):
    sizes = {}
    for precision in ("f16", "q8_0"):
        write_gguf(model, tokenizer, tmp_path / precision, precision=precision)
        tensors = gguf.GGUFReader(tmp_path / precision).tensors
        sizes[precision] = sum(int(tensor.n_bytes) for tensor in tensors if len(tensor.shape) == 2)

    assert sizes["q8_0"] / sizes["f16"] == 34 / 64


def kinds_in(path):
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}


def test_in_4_bits_the_matrix_that_makes_logits_keeps_8_and_vectors_keep_32(make_model, tokenizer, tmp_path):
    for tied in (True, False):
        write_gguf(make_model(tie_word_embeddings=tied), tokenizer, tmp_path / FILE, precision="q4_0")
        kinds = kinds_in(tmp_path / FILE)

        assert kinds["blk.0.ffn_down.weight"] == kinds["blk.0.attn_q.weight"] == "Q4_0"
        assert kinds["output_norm.weight"] == kinds["blk.0.attn_norm.weight"] == "F32"
        assert kinds["token_embd.weight"] == ("Q8_0" if tied else "Q4_0")
        assert kinds.get("output.weight") == (None if tied else "Q8_0")


@pytest.mark.parametrize("precision", ["q8_0", "q4_0"])
def test_rows_that_do_not_divide_into_blocks_stay_in_16_bits(precision, make_model, tokenizer, tmp_path):
    model, ids = make_model(intermediate_size=100), encode_text(tokenizer, TEXT)

    write_gguf(model, tokenizer, tmp_path / FILE, precision=precision)

    kinds = kinds_in(tmp_path / FILE)
    assert kinds["blk.0.ffn_down.weight"] == "F16" and kinds["blk.0.ffn_up.weight"] == precision.upper()
    theirs, ours = nats_in_llama_cpp(tmp_path / FILE, tokenizer, ids), nats_of(model, ids)
    assert sum(theirs) == pytest.approx(sum(ours), rel=0.2)


@pytest.mark.parametrize(("precision", "most"), [("f16", 0.0003), ("q8_0", 0.008), ("q4_0", 0.12)])
def test_the_files_matrices_as_numbers_again_are_the_models_within_rounding(
    precision, most, model, tokenizer, tmp_path
):
    write_gguf(model, tokenizer, tmp_path / FILE, precision=precision)

    errors = {
        name: np.linalg.norm(found - expected) / np.linalg.norm(expected)
        for name, expected, found in matrices_in(model, tmp_path / FILE)
    }

    assert set(errors) >= {"blk.0.attn_q.weight", "token_embd.weight", "blk.0.ffn_down.weight"}
    assert 0 < max(errors.values()) < most


def test_the_same_model_gives_the_same_bytes(model, tokenizer, tmp_path):
    for name in ("first", "second"):
        write_gguf(model, tokenizer, tmp_path / name, precision="q8_0")

    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_file_holds_no_name_of_where_it_was_made(model, tokenizer, tmp_path):
    write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")

    assert str(tmp_path).encode() not in (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"attention_bias": True}, "attention_bias True"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, "rope_type 'linear'"),
        ({"hidden_size": 40, "intermediate_size": 100, "num_attention_heads": 2}, "whose rows hold 40 weights"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(settings, said, make_model, tokenizer):
    with pytest.raises(ConfigError, match=said):
        check_gguf(make_model(**settings), tokenizer, "q8_0")


def test_another_model_type_is_refused_with_those_that_can_be_written(make_model, tokenizer):
    model = make_model()
    model.config.model_type = "gpt_neox"

    with pytest.raises(ConfigError, match="llama, qwen3, gpt2 can be written"):
        check_gguf(model, tokenizer, "f16")


def test_a_weight_too_large_for_16_bits_is_refused(make_model, tokenizer, tmp_path):
    model = make_model()
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 1e5

    with pytest.raises(ArtifactError, match="its largest weight is 100000. Weights of at most 65504"):
        write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")
