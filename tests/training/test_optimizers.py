import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, TrainingArguments

from hftrain.errors import ConfigError
from hftrain.training.optimizers import (
    MuonFactory,
    MuonWithAdamW,
    in_blocks,
    matrix_forms,
    muon_for,
    orthogonalized,
    split_parameters,
    update_scale,
)

SETTINGS = {"lr": 0.01, "matrix_lr": 0.02, "weight_decay": 0.1, "momentum": 0.95, "betas": (0.9, 0.95), "eps": 1e-8}


def test_newton_schulz_brings_singular_values_near_one_and_keeps_the_directions() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 24, 40)
    made = orthogonalized(matrices)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.linalg.svdvals(made)
    assert made.shape == (3, 24, 40)
    assert values.min() > 0.65 and values.max() < 1.25
    along = torch.einsum("kmi,kmn,kin->ki", left, made, right)
    assert torch.allclose(along.sort().values, values.sort().values, atol=1e-4)


def test_a_tall_matrix_is_treated_as_its_transpose() -> None:
    torch.manual_seed(0)
    wide = torch.randn(2, 8, 32)
    assert torch.allclose(orthogonalized(wide.mT), orthogonalized(wide).mT)


def test_a_step_is_that_of_torch_but_for_its_bfloat16() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(64, 32), [torch.randn(64, 32) for _ in range(3)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = {"lr": 0.02, "weight_decay": 0.1}
    first = MuonWithAdamW(
        [{"params": [ours], "is_matrix": True, **settings}], momentum=0.95, betas=(0.9, 0.95), eps=1e-8
    )
    second = torch.optim.Muon([theirs], momentum=0.95, nesterov=True, **settings)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_what_is_no_matrix_makes_the_steps_of_adamw() -> None:
    start, gradients = torch.linspace(-1, 1, 5), [torch.linspace(0, 1, 5), torch.linspace(1, -1, 5)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    first = MuonWithAdamW(
        [{"params": [ours], "lr": 0.1, "weight_decay": 0.1}], momentum=0.9, betas=(0.9, 0.95), eps=1e-8
    )
    second = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8, fused=True)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    assert torch.equal(ours, theirs)


def test_tables_norms_and_biases_go_to_adamw(tiny_model: Any) -> None:
    model, _ = tiny_model(tie_word_embeddings=False)
    matrices, tables, vectors = split_parameters(model)
    assert len(matrices) == 7  # query, key, value, output, gate, up, down
    assert {tuple(table.shape) for table in tables} == {(320, 32)} and len(tables) == 2
    assert len(vectors) == 3  # two norms of the layer, one at the end
    assert sum(map(len, (matrices, tables, vectors))) == len(list(model.parameters()))


def test_a_table_that_input_and_output_share_is_taken_once(tiny_model: Any) -> None:
    optimizer = MuonFactory()(tiny_model()[0], **SETTINGS)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 3, 3, 1, 2, 1]
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01, *[0.02] * 4]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0, *[0.1] * 4]
    assert [group["block_axis"] for group in optimizer.param_groups] == [None, None, 0, 1, 0, 1]
    assert [group["block_width"] for group in optimizer.param_groups] == [None, None, 16, 16, 64, 64]


@pytest.mark.parametrize(
    ("shape", "axis", "width", "inputs_first", "scale"),
    [
        ((512, 192), None, None, False, math.sqrt(512 / 192)),  # more outputs than inputs
        ((192, 512), None, None, False, 1.0),
        ((512, 192), 0, 64, False, 1.0),  # 8 blocks of norm sqrt(64) have that of 192 singular values times 512 / 192
        ((192, 512), 1, 64, False, math.sqrt(192 / 512)),
        ((192, 512), 1, 64, True, 1.0),  # the transpose of the third
        ((128, 128), 0, 32, False, 1.0),  # heads
    ],
)
def test_blocks_move_a_matrix_as_far_as_the_whole_would(
    shape: tuple[int, int], axis: int | None, width: int | None, inputs_first: bool, scale: float
) -> None:
    assert update_scale(shape, axis, width, inputs_first=inputs_first) == pytest.approx(scale)


def test_an_mlp_whose_neurons_do_not_come_in_sixty_fours_has_smaller_blocks_or_none(tiny_model: Any) -> None:
    for neurons, width in ((96, 32), (80, 16), (72, None)):
        model, _ = tiny_model(intermediate_size=neurons)
        forms = matrix_forms(model)
        form = forms.get(id(model.model.layers[0].mlp.up_proj.weight))
        assert form == (None if width is None else (False, 0, width))


def test_heads_are_changed_one_by_one_and_put_back_in_their_places() -> None:
    matrix = torch.arange(24.0).reshape(1, 4, 6)

    def less_first(heads: torch.Tensor) -> torch.Tensor:
        return heads - heads[:, :1, :1]

    rows = in_blocks(matrix, 0, 2, less_first)[0]
    assert rows[0, 0] == rows[2, 0] == 0 and rows[3].tolist() == [6, 7, 8, 9, 10, 11]
    columns = in_blocks(matrix, 1, 3, less_first)[0]
    assert columns[0].tolist() == [0, 1, 2, 0, 1, 2] and columns[3, 5] == 20
    assert torch.equal(in_blocks(matrix, None, None, less_first), matrix)


def test_heads_of_gpt2_lie_along_the_outputs_of_its_joined_matrix() -> None:
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("gpt2", vocab_size=50, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    )
    attention = model.transformer.h[0].attn
    forms = matrix_forms(model)
    assert attention.c_attn.weight.shape == (32, 96)
    assert forms[id(attention.c_attn.weight)] == (True, 1, 16)
    assert forms[id(attention.c_proj.weight)] == (True, 0, 16)
    assert forms[id(model.transformer.h[0].mlp.c_fc.weight)] == (True, 1, 64)
    assert forms[id(model.transformer.h[0].mlp.c_proj.weight)] == (True, 0, 64)


def test_channels_of_a_convolution_lie_along_what_goes_in_and_comes_out() -> None:
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "block_auto_adjust_ff_dim": False, "full_attn_idxs": [1]}  # fmt: skip
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("lfm2", vocab_size=50, **shape))
    mixing, attending = model.model.layers
    forms = matrix_forms(model)
    assert forms[id(mixing.conv.in_proj.weight)] == (False, 0, 64)
    assert forms[id(mixing.conv.out_proj.weight)] == (False, 1, 64)
    assert forms[id(attending.self_attn.out_proj.weight)] == (False, 1, 32)
    assert forms[id(attending.feed_forward.w1.weight)] == forms[id(attending.feed_forward.w3.weight)] == (False, 0, 64)
    assert forms[id(attending.feed_forward.w2.weight)] == (False, 1, 64)
    _, _, rest = split_parameters(model)
    assert any(each is mixing.conv.conv.weight for each in rest)


def test_a_matrix_stored_inputs_first_moves_like_its_transpose() -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(48, 16), torch.randn(48, 16)
    linear, conv = nn.Parameter(start.clone()), nn.Parameter(start.t().clone())
    linear.grad, conv.grad = gradient.clone(), gradient.t().clone()
    common = {"is_matrix": True, "lr": 0.1, "weight_decay": 0.0}
    groups = [{"params": [linear], **common}, {"params": [conv], "inputs_first": True, **common}]
    MuonWithAdamW(groups, momentum=0.9, betas=(0.9, 0.95), eps=1e-8).step()
    assert torch.allclose(linear, conv.t(), atol=1e-6)
    size = (linear - start).norm() / (0.1 * math.sqrt(48 / 16))
    assert 0.7 * 4 < size < 1.2 * 4  # 16 singular values near 1


def test_a_saved_state_goes_on_with_the_same_bytes(tiny_model: Any) -> None:
    def trained(steps: int, resume_at: int | None) -> list[torch.Tensor]:
        model, _ = tiny_model()
        optimizer = MuonFactory()(model, **SETTINGS)
        for step in range(steps):
            if step == resume_at:
                saved = optimizer.state_dict()
                optimizer = MuonFactory()(model, **SETTINGS)
                optimizer.load_state_dict(saved)
            generator = torch.Generator().manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    assert all(map(torch.equal, trained(4, None), trained(4, 2)))


def test_a_launch_that_cuts_matrices_is_refused(tmp_path: Any) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    args.fsdp = ["full_shard"]
    with pytest.raises(ConfigError, match="Muon needs whole matrices"):
        muon_for(args, matrix_learning_rate=0.02, momentum=0.95)
