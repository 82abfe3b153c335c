"""An encoder is scored by worked numbers: a model that knows nothing pays ln V for each hidden token."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.errors import DataError
from hftrain.models.loading import new_masked_lm
from hftrain.models.masked_scoring import pseudo_log_likelihood, score_masked
from hftrain.models.masks import with_mask_token
from hftrain.tokens.chat import encode_text, load_tokenizer

TEXTS = ["The cat sat on the mat.", "Good night, and good bye. The sun was warm."]
SHAPE = {"model_type": "modernbert", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
         "num_attention_heads": 2, "sparse_prediction": True}  # fmt: skip


@pytest.fixture
def encoder(tokenizer_dir: Path) -> tuple[Any, Any]:
    tokenizer = with_mask_token(load_tokenizer(tokenizer_dir))
    torch.manual_seed(0)
    return new_masked_lm(SHAPE, tokenizer, context_tokens=64), tokenizer


def make_blind(model: Any, favourite: int | None = None) -> None:
    """Give every token the same chance, or one of them nearly all of it."""
    with torch.no_grad():
        model.decoder.weight.zero_()
        model.decoder.bias.zero_()
        if favourite is not None:
            model.decoder.bias[favourite] = 100.0


def test_a_model_that_knows_nothing_pays_the_logarithm_of_its_vocabulary(encoder: tuple[Any, Any]) -> None:
    model, tokenizer = encoder
    make_blind(model)
    assert score_masked(model, tokenizer, TEXTS, row_tokens=32).nats_per_token == pytest.approx(math.log(321))
    tokens = sum(len(encode_text(tokenizer, text)) for text in TEXTS)
    score = pseudo_log_likelihood(model, tokenizer, TEXTS, row_tokens=32)
    assert (score.tokens, score.bytes) == (tokens, sum(map(len, TEXTS)))
    assert score.bits_per_byte == pytest.approx(tokens * math.log2(321) / sum(map(len, TEXTS)))


def test_a_model_that_always_says_one_token_finds_it_alone(encoder: tuple[Any, Any]) -> None:
    model, tokenizer = encoder
    text = "eeee"
    ids = encode_text(tokenizer, text)
    make_blind(model, favourite=ids[0])
    score = score_masked(model, tokenizer, [text], row_tokens=32, share=0.9)
    assert len(set(ids)) == 1 and score.accuracy == 1.0 and score.nats_per_token == pytest.approx(0.0, abs=1e-6)


def test_the_same_tokens_are_hidden_at_every_call_and_whatever_the_batch(encoder: tuple[Any, Any]) -> None:
    model, tokenizer = encoder
    one = score_masked(model, tokenizer, TEXTS, row_tokens=16, batch_rows=1)
    all_at_once = score_masked(model, tokenizer, TEXTS, row_tokens=16, batch_rows=64)
    assert score_masked(model, tokenizer, TEXTS, row_tokens=16, batch_rows=1) == one
    assert (one.tokens, one.hits) == (all_at_once.tokens, all_at_once.hits)
    assert one.nats == pytest.approx(all_at_once.nats, rel=1e-5)


def test_each_token_is_hidden_once_and_the_others_are_seen(encoder: tuple[Any, Any]) -> None:
    model, tokenizer = encoder
    seen: list[torch.Tensor] = []
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True)
    pseudo_log_likelihood(model, tokenizer, TEXTS[:1], row_tokens=64)
    batch = torch.cat(seen)
    assert torch.equal((batch == tokenizer.mask_token_id).sum(dim=1), torch.ones(len(batch), dtype=torch.long))
    assert len(batch) == len(encode_text(tokenizer, TEXTS[0]))


def test_texts_without_a_token_are_refused(encoder: tuple[Any, Any]) -> None:
    model, tokenizer = encoder
    with pytest.raises(DataError, match="no token to hide"):
        score_masked(model, tokenizer, [""], row_tokens=16)
