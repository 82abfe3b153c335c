from collections.abc import Callable
from typing import Any

import pytest
import torch

from hftrain.training.distillation_start import start_from_teacher, start_problems

IDS = torch.arange(4, 164).reshape(4, 40)
WIDE = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 3, "head_dim": 16}
WIDE |= {"num_attention_heads": 4, "num_key_value_heads": 4}

Make = Callable[..., tuple[Any, Any]]


def teacher_of(tiny_model: Make, **settings: Any) -> Any:
    """A teacher whose norms have weights of their own."""
    model, _ = tiny_model(1, **(WIDE | settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif "embed" not in name:
                parameter.mul_(8)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": False}, {"model_type": "qwen3"}])
def test_a_student_of_its_teachers_shape_begins_as_its_teacher(tiny_model: Make, settings: Any) -> None:
    teacher = teacher_of(tiny_model, **settings)
    student, _ = tiny_model(2, **(WIDE | settings))
    taken = start_from_teacher(teacher, student, IDS)
    torch.testing.assert_close(logits(student), logits(teacher), atol=1e-4, rtol=1e-4)
    assert (taken.layers, taken.neurons, taken.kept_share) == ((0, 1, 2), 64, 1.0)


def test_a_layer_that_adds_nothing_is_the_one_that_is_left_out(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model)
    with torch.no_grad():
        teacher.model.layers[1].self_attn.o_proj.weight.zero_()
        teacher.model.layers[1].mlp.down_proj.weight.zero_()
    student, _ = tiny_model(2, **(WIDE | {"num_hidden_layers": 2}))
    assert start_from_teacher(teacher, student, IDS).layers == (0, 2)
    torch.testing.assert_close(logits(student), logits(teacher), atol=1e-4, rtol=1e-4)
    assert len(teacher.model.layers) == teacher.config.num_hidden_layers == 3


def test_heads_and_neurons_that_add_nothing_are_left_out(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model)
    with torch.no_grad():
        for layer in teacher.model.layers:
            layer.self_attn.o_proj.weight[:, 16:48] = 0  # the second and the third head
            layer.mlp.down_proj.weight[:, ::2] = 0
    fewer = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
    student, _ = tiny_model(2, **(WIDE | fewer))
    assert start_from_teacher(teacher, student, IDS).heads == ((0, 3),) * 3
    torch.testing.assert_close(logits(student), logits(teacher), atol=1e-4, rtol=1e-4)


def test_heads_that_share_keys_are_taken_together(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model, num_key_value_heads=2)
    with torch.no_grad():
        for layer in teacher.model.layers:
            layer.self_attn.o_proj.weight[:, :32] = 0
    student, _ = tiny_model(2, **(WIDE | {"num_attention_heads": 2, "num_key_value_heads": 1}))
    assert start_from_teacher(teacher, student, IDS).heads == ((1,),) * 3
    torch.testing.assert_close(logits(student), logits(teacher), atol=1e-4, rtol=1e-4)


def test_a_stream_that_fills_half_of_its_directions_fits_into_half_the_width(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model)
    with torch.no_grad():
        axes = torch.linalg.qr(torch.randn(64, 32, generator=torch.Generator().manual_seed(3)))[0]
        table = teacher.model.embed_tokens.weight
        table.copy_(table @ axes @ axes.T)
        for layer in teacher.model.layers:
            for matrix in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                matrix.copy_(axes @ axes.T @ matrix)
        table.mul_(20)  # what is added to squared lengths, so that none is 0, is next to nothing then
        teacher.model.norm.weight.fill_(1)  # with one table for input and output its weights cannot be turned
    student, _ = tiny_model(2, **(WIDE | {"hidden_size": 32}))
    taken = start_from_teacher(teacher, student, IDS)
    assert taken.kept_share == pytest.approx(1)
    torch.testing.assert_close(logits(student), logits(teacher), atol=1e-3, rtol=1e-3)


def test_what_does_not_fit_is_said(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model)
    wider, _ = tiny_model(2, **(WIDE | {"hidden_size": 128, "head_dim": 32}))
    assert start_problems(teacher, wider) == [
        "head_dim is 32, the teacher's 16; they must agree",
        "hidden_size is 128, the teacher's 64; no more than that fits",
    ]
    other, _ = tiny_model(2, model_type="qwen3", head_dim=16)
    assert start_problems(teacher, other)[0] == "model_type is qwen3, the teacher's llama; they must agree"


def test_the_same_text_gives_the_same_start(tiny_model: Make) -> None:
    teacher = teacher_of(tiny_model)
    made = []
    for seed in (2, 3):
        student, _ = tiny_model(seed, **(WIDE | {"hidden_size": 32, "num_hidden_layers": 1}))
        start_from_teacher(teacher, student, IDS)
        made.append(logits(student))
    assert torch.equal(*made)
