from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from hftrain.models import training_step
from hftrain.models.training_step import ChunkedCrossEntropy, GatedConvolution, RootMeanSquareNorm, lighten

LLAMA = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 24,
}  # fmt: skip
LFM2 = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 24, "block_auto_adjust_ff_dim": False, "full_attn_idxs": [1],
}  # fmt: skip
GPT2 = {
    "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 24,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def new_model(model_type: str, **given: Any) -> PreTrainedModel:
    """A model of two layers with random weights, training."""
    torch.manual_seed(0)
    settings = {**{"gpt2": GPT2, "lfm2": LFM2}.get(model_type, LLAMA), "vocab_size": 50, **given}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings))
    return model.train()  # type: ignore[no-any-return]


def losses_and_gradients(model: PreTrainedModel, **given: Any) -> list[torch.Tensor]:
    """The loss of a batch with some labels masked, and every gradient."""
    ids = torch.arange(3 * 24).reshape(3, 24) * 7 % 50
    labels = ids.clone()
    labels[1, 5:] = -100
    loss = model(input_ids=ids, labels=labels, use_cache=False, **given).loss
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "lfm2", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("counted", [None, 40])
def test_loss_and_gradients_are_those_of_upstream(
    model_type: str, tied: bool, counted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_step, "CHUNK_LOGITS", 7 * 50)  # seven positions at a time: the last part is short
    given = {} if counted is None else {"num_items_in_batch": torch.tensor(counted)}
    plain = losses_and_gradients(new_model(model_type, tie_word_embeddings=tied), **given)
    model = new_model(model_type, tie_word_embeddings=tied)
    assert lighten(model)
    ours = losses_and_gradients(model, **given)
    assert len(ours) == len(plain)
    for mine, theirs in zip(ours, plain, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_loss_beyond_what_softmax_can_hold_is_exact() -> None:
    hidden, table = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[200.0, 0.0], [-200.0, 0.0]])
    loss = ChunkedCrossEntropy.apply(hidden, table, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(400)
    assert hidden.grad is not None and hidden.grad.tolist() == [[400.0, 0.0]]


def test_two_positions_by_hand() -> None:
    hidden, table = torch.zeros(3, 2, requires_grad=True), torch.eye(2, requires_grad=True)
    loss = ChunkedCrossEntropy.apply(hidden, table, torch.tensor([0, -100, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(2 * 0.6931472)
    assert hidden.grad is not None and hidden.grad.tolist() == [[-0.5, 0.5], [0, 0], [0.5, -0.5]]


def test_where_nothing_is_learned_nothing_changes() -> None:
    hidden, table = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)
    loss = ChunkedCrossEntropy.apply(hidden, table, torch.tensor([-100, -100]))
    loss.backward()
    assert loss.item() == 0
    assert hidden.grad is not None and table.grad is not None
    assert not hidden.grad.any() and not table.grad.any()


def test_the_norm_has_the_right_derivative() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: RootMeanSquareNorm.apply(a, b, 1e-5), (x, weight))


def test_a_convolution_of_three_taps_by_hand() -> None:
    parts = torch.tensor([[[1.0, 5.0, 1.0], [2.0, 1.0, 1.0], [1.0, 2.0, 3.0]]])  # b, c and x of one channel, 3 tokens
    made = GatedConvolution.apply(parts, torch.tensor([[100.0, 10.0, 1.0]]))
    assert made.flatten().tolist() == [5 * 1, 1 * (2 + 10 * 1), 2 * (3 + 10 * 2 + 100 * 1)]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_convolution_has_the_right_derivative(length: int) -> None:
    torch.manual_seed(0)
    parts = torch.randn(2, length, 15, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GatedConvolution.apply, (parts, taps))


def test_a_padded_row_goes_through_upstreams_convolution() -> None:
    ids, mask = torch.arange(48).reshape(2, 24) % 50, torch.ones(2, 24, dtype=torch.long)
    mask[0, :5] = 0
    model = new_model("lfm2")
    before = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    lighten(model)
    assert torch.allclose(model(input_ids=ids, attention_mask=mask, use_cache=False).logits, before, atol=1e-5)


def test_without_labels_or_in_evaluation_upstream_answers() -> None:
    model = new_model("llama")
    ids = torch.arange(24)[None]
    before = model.eval()(input_ids=ids, labels=ids)
    lighten(model)
    after = model.eval()(input_ids=ids, labels=ids)
    assert torch.allclose(after.logits, before.logits, atol=1e-6) and torch.allclose(after.loss, before.loss)
    assert model.train()(input_ids=ids).logits.shape == (1, 24, 50)


def test_another_model_of_the_process_is_left_alone() -> None:
    other = new_model("llama")
    expected = losses_and_gradients(new_model("llama"))
    lighten(new_model("llama"))
    assert all(map(torch.equal, losses_and_gradients(other), expected))


def test_a_type_with_something_after_its_logits_keeps_its_own_forward() -> None:
    model = new_model("gemma2", query_pre_attn_scalar=16, sliding_window=8, layer_types=["full_attention"] * 2)
    assert not lighten(model)


def test_files_and_names_of_parameters_do_not_change(tmp_path: Any) -> None:
    model = new_model("llama")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lighten(model)
    assert model.state_dict().keys() == before.keys()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in before.items())
