from typing import Any

import pytest
import torch

from hftrain.training.plan import disk_bytes, flops_per_token, measure


def test_flops_of_a_token_by_hand(tiny_model: Any) -> None:
    model, _ = tiny_model()
    layer = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32  # attention, the three matrices of the MLP, two norms
    parameters = 320 * 32 + layer + 32
    assert flops_per_token(model, 128) == 6 * parameters + 12 * 1 * 32 * 128


def test_a_table_that_only_looks_up_costs_nothing(tiny_model: Any) -> None:
    assert flops_per_token(tiny_model(tie_word_embeddings=False)[0], 128) == flops_per_token(tiny_model()[0], 128)


def test_a_probe_measures_and_uses_the_shape_it_was_given(tiny_model: Any) -> None:
    model, _ = tiny_model()
    seen = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape), with_kwargs=True)
    probe = measure(model, rows=3, row_tokens=32)
    assert probe.seconds_per_step > 0 and probe.seconds_per_token_made > 0
    assert seen[:5] == [torch.Size([3, 32])] * 5


def test_disk_counts_weights_and_moments() -> None:
    assert disk_bytes(1_000_000, 2)["while_training"] == pytest.approx(24e6)
    assert disk_bytes(1_000_000, 2)["kept"] == pytest.approx(16e6 + 8.77e6)
