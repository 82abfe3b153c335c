"""A rounded base is read, an adapter learns beside it, and what is published is the base as it was with that added."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from hftrain.errors import ConfigError
from hftrain.models.adapters import publish_adapter, with_adapter
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.models.quantized_base import load_quantized_base, train_in_fp32

IDS = torch.tensor([[5, 6, 7, 9, 10, 300]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any) -> Path:
    """64 wide, so that NF4's blocks fit."""
    folder = tmp_path_factory.mktemp("models") / "base"
    save_model(*tiny_model(hidden_size=64, intermediate_size=128), folder)
    return folder


@pytest.mark.parametrize("rounding", ["nf4", "int8"])
def test_an_adapter_learns_beside_the_rounded_base_and_is_merged_into_the_whole_one(
    base: Path, rounding: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    settings = {"r": 4, "target_modules": "all-linear", "use_dora": rounding == "nf4"}
    model: Any = with_adapter(load_quantized_base(base, rounding), settings)
    train_in_fp32(model)
    learning = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    losses = []
    for _ in range(4):
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert {each.dtype for each in learning} == {torch.float32} and losses[-1] < losses[0] - 0.02
    with torch.no_grad():
        rounded = model.eval()(input_ids=IDS).logits
    save_model(publish_adapter(model, tmp_path, base=load_causal_lm(base)), load_tokenizer_of(base), tmp_path)  # type: ignore[arg-type]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        whole = merged.eval()(input_ids=IDS).logits
        before = load_causal_lm(base)(input_ids=IDS).logits
    assert {each.dtype for each in merged.parameters()} == {torch.float32}
    # what was learned is larger than what the rounding changed
    assert (whole - rounded).abs().mean() < (whole - before).abs().mean()


def load_tokenizer_of(base: Path) -> Any:
    from hftrain.tokens.chat import load_tokenizer

    return load_tokenizer(base)


def test_rows_that_nf4_would_read_wrongly_are_refused(chat_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"sft.quantize_base: nf4, but rows of .*proj hold 32 weights"):
        load_quantized_base(chat_dir, "nf4")


def test_bf16_that_upstream_sets_is_taken_back_where_something_learns() -> None:
    model = torch.nn.Linear(2, 2).to(torch.bfloat16)
    model.bias.requires_grad = False
    train_in_fp32(model)
    assert (model.weight.dtype, model.bias.dtype) == (torch.float32, torch.bfloat16)
