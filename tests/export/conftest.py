"""Models whose every number matters: random weights, made large enough that a wrong one shows."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.models.loading import new_causal_lm
from hftrain.tokens.chat import load_tokenizer

SHAPES = {
    "llama": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "qwen3": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "tie_word_embeddings": True,
    },
    "gpt2": {"n_embd": 64, "n_layer": 1, "n_head": 4},
}


@pytest.fixture(scope="session")
def tokenizer(tokenizer_dir: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(tokenizer_dir)


@pytest.fixture(scope="session")
def make_model(tokenizer: PreTrainedTokenizerFast) -> Callable[..., PreTrainedModel]:
    """``make_model(model_type, **settings)``: one layer, 64 wide, attention and norms far from nothing."""

    def make(model_type: str = "llama", **settings: object) -> PreTrainedModel:
        torch.manual_seed(0)
        model = new_causal_lm({"model_type": model_type} | SHAPES[model_type] | settings, tokenizer, context_tokens=128)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
                else:
                    parameter.mul_(5)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_model()
