import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hftrain.training import utilisation
from hftrain.training.flops import flops_per_token
from hftrain.training.utilisation import Speed, matrix_product_peak, model_flops_utilisation


def test_flops_of_a_token_by_hand(tiny_model: Any) -> None:
    model, _ = tiny_model()
    layer = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32  # attention, the three matrices of the MLP, two norms
    parameters = 320 * 32 + layer + 32
    assert flops_per_token(model, 128) == 6 * parameters + 12 * 1 * 32 * 128


def test_a_table_that_only_looks_up_costs_nothing(tiny_model: Any) -> None:
    assert flops_per_token(tiny_model(tie_word_embeddings=False)[0], 128) == flops_per_token(tiny_model()[0], 128)


def test_heads_wider_than_the_model_cost_what_they_are_wide(tiny_model: Any) -> None:
    model, _ = tiny_model(head_dim=32)
    more = flops_per_token(model, 128) - 6 * sum(each.numel() for each in model.parameters())
    assert more == 12 * 1 * (2 * 32) * 128


def test_a_layer_that_does_not_attend_compares_no_tokens(tiny_model: Any) -> None:
    given = {"model_type": "lfm2", "num_hidden_layers": 3, "full_attn_idxs": [1], "block_auto_adjust_ff_dim": False}
    model, _ = tiny_model(**given)
    compared = flops_per_token(model, 128) - 6 * sum(each.numel() for each in model.parameters())
    assert compared == 12 * 1 * 32 * 128


def test_a_frozen_weight_costs_four_operations_not_six(tiny_model: Any) -> None:
    model, _ = tiny_model()
    whole = flops_per_token(model, 128)
    matrix = model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    assert whole - flops_per_token(model, 128) == 2 * matrix.numel()


def test_utilisation_by_hand() -> None:
    assert model_flops_utilisation(8e6, 5_000, 8e10) == pytest.approx(0.5)


def test_a_peak_is_measured_without_touching_the_random_state() -> None:
    before = torch.get_rng_state()
    assert matrix_product_peak(seconds=0.02) > 1e8
    assert torch.equal(torch.get_rng_state(), before)


def test_the_clock_stands_while_a_checkpoint_is_written_and_the_peak_is_measured_again(
    tmp_path: Path, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([3e9, 4e9])
    monkeypatch.setattr(utilisation, "matrix_product_peak", lambda *_, **__: next(peaks))
    speed = Speed(1e9, dtype=torch.float32, processes=1, scratch=tmp_path)
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=2)
    state, control, model = TrainerState(max_steps=4), TrainerControl(), tiny_model()[0]
    speed.on_train_begin(args, state, control)
    for state.global_step in (1, 2):
        speed.on_step_begin(args, state, control)
        state.num_input_tokens_seen += 2 * 8
        speed.on_step_end(args, state, control)
        speed.on_save(args, state, control)
        time.sleep(0.1)
    logs = {"loss": 1.0, "learning_rate": 0.1}
    speed.on_log(args, state, control, logs, model=model)
    assert logs["seconds_per_step"] < 0.05 and logs["eta_seconds"] > 0.2
    assert logs["tokens_per_second"] == pytest.approx(16 / logs["seconds_per_step"])
    assert logs["mfu"] == pytest.approx(flops_per_token(model, 8) * logs["tokens_per_second"] / 4e9)
    assert speed.summary()["mfu"] == pytest.approx(logs["mfu"])
    assert speed.summary()["matrix_product_flops_per_second"] == 4e9
    assert "mfu" not in "".join(map(str, state.log_history))
