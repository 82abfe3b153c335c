"""A shape is counted as the real model counts, and comes near to the number that was asked for."""

from typing import Any

import pytest
import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
)

from hftrain.errors import ConfigError
from hftrain.models.loading import parameter_count
from hftrain.models.shapes import (
    OBJECTIVES,
    WITHOUT_SCORES,
    attending_layers,
    head_size,
    names_of,
    nearest_shape,
    parameters_of,
)

TYPES = [(model_type, objective) for objective, types in OBJECTIVES.items() for model_type in types]


def really_counted(settings: dict[str, Any], vocab_size: int, context_tokens: int) -> int:
    """Parameters of the model itself, made without its numbers."""
    given = dict(settings)
    model_type = given.pop("model_type")
    given[names_of(model_type, "masked_words" if model_type == "modernbert" else "next_token").context] = context_tokens
    config = AutoConfig.for_model(model_type, vocab_size=vocab_size, pad_token_id=0, **given)
    auto = AutoModelForMaskedLM if model_type == "modernbert" else AutoModelForCausalLM
    with torch.device("meta"):
        return parameter_count(auto.from_config(config))


def shape(model_type: str, parameters: int, vocab_size: int) -> dict[str, Any]:
    return nearest_shape(model_type, parameters, vocab_size=vocab_size, context_of=lambda width: 256)


def test_a_llama_is_counted_by_hand() -> None:
    # table 1000 x 32; attention 4 x 32 x 32; MLP 3 x 32 x 96; 2 norms; a last norm
    settings = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1,
                "intermediate_size": 96}  # fmt: skip
    layer = 4 * 1024 + 3 * 3072 + 64
    assert parameters_of(settings, vocab_size=1000, context_tokens=64) == 32_000 + 2 * layer + 32


@pytest.mark.parametrize(("model_type", "objective"), TYPES)
def test_the_formula_counts_what_the_model_has(model_type: str, objective: str) -> None:
    for parameters, vocab_size in ((300_000, 2048), (5_000_000, 8192), (1_000_000_000, 65_536)):
        settings = shape(model_type, parameters, vocab_size)
        by_formula = parameters_of(settings, vocab_size=vocab_size, context_tokens=256)
        assert by_formula == really_counted(settings, vocab_size, 256)


@pytest.mark.parametrize(
    "own",
    [
        {"tie_word_embeddings": False},
        {"num_key_value_heads": 1, "intermediate_size": 100},
        {"model_type": "qwen3", "head_dim": 48, "num_key_value_heads": 1},
        {"model_type": "qwen3", "head_dim": 32, "vocab_size": 4096},
        {"model_type": "lfm2", "full_attn_idxs": [0, 1], "conv_L_cache": 5},
        {"model_type": "lfm2", "layer_types": ["conv", "conv"]},
    ],
)
def test_a_users_own_shape_is_counted_too(own: dict[str, Any]) -> None:
    settings = shape(own.get("model_type", "llama"), 1_300_000, 2048) | own
    table = settings.pop("vocab_size", 2048)
    assert parameters_of(settings, vocab_size=table, context_tokens=64) == really_counted(settings, table, 64)


@pytest.mark.parametrize(("model_type", "objective"), TYPES)
def test_every_number_from_a_third_of_a_million_to_a_billion_comes_out_within_a_tenth(
    model_type: str, objective: str
) -> None:
    for parameters in (300_000, 777_777, 1_300_000, 4_000_000, 16_000_000, 124_000_000, 350_000_000, 1_000_000_000):
        for vocab_size in (2_000, 2_048, 5_000, 8_192, 9_000, 16_384, 32_000, 50_257, 65_536):
            if vocab_size * 32 < parameters * 0.97:
                made = shape(model_type, parameters, vocab_size)
                count = parameters_of(made, vocab_size=vocab_size, context_tokens=256)
                assert count == pytest.approx(parameters, rel=0.1), (parameters, vocab_size)


def test_a_vocabulary_larger_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="300,000 parameters, but the tokenizer has 32,000 tokens"):
        shape("llama", 300_000, 32_000)


def test_wide_and_shallow_is_chosen_and_heads_are_whole() -> None:
    made = shape("llama", 124_000_000, 32_768)
    assert (made["hidden_size"], made["num_hidden_layers"], made["num_attention_heads"]) == (768, 14, 12)
    assert [head_size(width) for width in (32, 160, 352, 384, 768, 100)] == [32, 32, 32, 64, 64, 4]
    for parameters in (300_000, 4_000_000, 350_000_000):
        made = shape("llama", parameters, 2048)
        assert made["hidden_size"] % made["num_attention_heads"] == 0 and made["intermediate_size"] % 32 == 0


def test_a_type_or_an_objective_that_no_size_is_known_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mistral'; for next_token a size is turned into a shape for llama, qwen3"):
        names_of("mistral", "next_token")
    with pytest.raises(ConfigError, match="for masked_words a size is turned into a shape for modernbert"):
        names_of("llama", "masked_words")
    with pytest.raises(ConfigError, match="'translate'. One of next_token, masked_words"):
        names_of("llama", "translate")


def test_the_types_without_scores_are_those_that_upstream_has_no_such_model_for() -> None:
    scored = {kind.model_type for kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING}
    assert {kind for kind, _ in TYPES if kind not in scored} == WITHOUT_SCORES


def test_every_third_layer_of_lfm2_attends_and_at_least_one() -> None:
    assert {layers: attending_layers(layers) for layers in (1, 2, 4, 6)} == {1: [0], 2: [1], 4: [2], 6: [2, 5]}
