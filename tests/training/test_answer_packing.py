"""Packed conversations train exactly as those that stand alone."""

from typing import Any

import pytest
import torch

from hftrain.errors import ConfigError
from hftrain.tokens.lens import IGNORED, label_conversations
from hftrain.training.answer_packing import PackedCollator, check_packing, pack_answers

TALKS = [
    [{"role": "user", "content": f"Hello{'!' * number}"}, {"role": "assistant", "content": "My name is Ann. " * number}]
    for number in (1, 3, 2, 5, 1, 4)
]
SHAPES = {
    "llama": {},
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2},
}


def rows_of(tokenizer: Any) -> list[dict[str, list[int]]]:
    return label_conversations(tokenizer, TALKS, max_row_tokens=100).rows


def made(tiny_model: Any, kind: str, attention: str) -> tuple[Any, Any]:
    """A random model with that attention, and its tokenizer."""
    if kind == "gpt2":
        from hftrain.models.loading import new_causal_lm

        tokenizer = tiny_model()[1]
        torch.manual_seed(0)
        model = new_causal_lm(SHAPES["gpt2"], tokenizer, context_tokens=128)
    else:
        model, tokenizer = tiny_model(num_hidden_layers=2, **SHAPES[kind])
    model.set_attn_implementation(attention)
    return model.eval(), tokenizer


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_the_packed_loss_and_its_gradient_are_those_of_rows_that_stand_alone(
    tiny_model: Any, kind: str, attention: str
) -> None:
    model, tokenizer = made(tiny_model, kind, attention)
    check_packing(model)
    rows = rows_of(tokenizer)
    packed, _ = pack_answers(rows, row_tokens=100)
    assert len(packed) < len(rows)
    batch = PackedCollator(tokenizer.pad_token_id)(packed)
    trained = sum(label != IGNORED for row in rows for label in row["labels"])

    together = model(**batch, use_cache=False, num_items_in_batch=trained).loss
    together.backward()
    gradient = [each.grad.clone() for each in model.parameters()]
    model.zero_grad()
    alone = torch.zeros(())
    for row in rows:
        one = {name: torch.tensor([values]) for name, values in row.items()}
        alone = alone + model(**one, use_cache=False, num_items_in_batch=trained).loss
    alone.backward()

    assert together.item() == pytest.approx(alone.item(), abs=1e-5)
    assert all(torch.allclose(a, b.grad, atol=1e-5) for a, b in zip(gradient, model.parameters(), strict=True))


def test_rows_are_filled_with_whole_conversations_and_the_waste_is_counted() -> None:
    rows = [{"input_ids": [first] * size, "labels": [first] * size} for first, size in ((1, 6), (2, 3), (3, 4), (4, 2))]
    packed, account = pack_answers(rows, row_tokens=8)
    assert sorted(row["seq_lengths"] for row in packed) == [[4, 3], [6, 2]]
    assert (account.rows, account.conversations, account.tokens, account.padding_tokens) == (2, 4, 15, 1)
    first = next(row for row in packed if row["seq_lengths"] == [6, 2])
    assert first["input_ids"] == [1] * 6 + [4] * 2
    assert first["labels"] == [-100, *[1] * 5, -100, 4]


def test_positions_begin_anew_with_each_conversation_and_with_the_padding() -> None:
    row = {"input_ids": [5, 6, 7], "labels": [-100, 6, -100], "seq_lengths": [2, 1]}
    longer = {"input_ids": [5, 6, 7, 8, 9], "labels": [-100, 6, 7, 8, 9], "seq_lengths": [5]}
    batch = PackedCollator(0)([row, longer])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1], [0, 1, 2, 3, 4]]
    assert batch["input_ids"][0].tolist() == [5, 6, 7, 0, 0]
    assert batch["labels"][0].tolist() == [-100, 6, -100, -100, -100]
    assert "attention_mask" not in batch


def test_a_model_that_would_let_them_see_each_other_is_refused(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = tiny_model()
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *a, position_ids=None, **given: forward(*a, **given))
    with pytest.raises(ConfigError, match=r"sft.packing: true, but a llama model lets tokens attend"):
        check_packing(model)
