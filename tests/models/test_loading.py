from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hftrain.errors import ArtifactError, ConfigError
from hftrain.files import digest_folder
from hftrain.models.loading import (
    causal_lm_config,
    context_tokens,
    load_causal_lm,
    masked_lm_config,
    parameter_count,
    save_model,
)
from hftrain.tokens.chat import load_tokenizer


def test_plain_transformers_opens_what_was_saved_with_the_same_logits(tiny_model: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny_model()
    model.config.use_cache = False
    save_model(model, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([AutoTokenizer.from_pretrained(tmp_path)("The cat").input_ids])
    assert torch.equal(model.eval()(ids).logits, loaded.eval()(ids).logits)
    assert loaded.config.use_cache
    assert loaded.generation_config.eos_token_id == [3, 1]


def test_saving_twice_and_saving_what_was_loaded_gives_the_same_bytes(tiny_model: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny_model()
    save_model(model, tokenizer, tmp_path / "a")
    save_model(load_causal_lm(tmp_path / "a"), load_tokenizer(tmp_path / "a"), tmp_path / "b")
    assert digest_folder(tmp_path / "a") == digest_folder(tmp_path / "b")


def test_a_shared_table_is_counted_once(tiny_model: Any) -> None:
    tied, _ = tiny_model()
    untied, _ = tiny_model(tie_word_embeddings=False)
    assert parameter_count(untied) - parameter_count(tied) == 320 * 32
    assert context_tokens(tied) == 128


def test_a_model_type_that_rebuilds_the_tokenizer_by_other_rules_is_refused(tiny_model: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny_model(model_type="qwen2")
    with pytest.raises(ArtifactError, match="AutoTokenizer gives"):
        save_model(model, tokenizer, tmp_path)


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "t5"])
def test_a_type_that_sees_what_it_is_to_predict_is_refused(model_type: str) -> None:
    with pytest.raises(ConfigError, match="does not predict the next token"):
        causal_lm_config({"model_type": model_type}, vocab_size=320, context_tokens=32)


def test_a_type_that_sees_no_later_words_predicts_no_masked_ones() -> None:
    with pytest.raises(ConfigError, match="'llama' does not predict masked tokens"):
        masked_lm_config({"model_type": "llama"}, vocab_size=320, context_tokens=32)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no config.json"):
        load_causal_lm(tmp_path)
    with pytest.raises(ArtifactError, match="holds no tokenizer.json"):
        load_tokenizer(tmp_path)
