import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.errors import DataError
from hftrain.models.scoring import (
    bits_per_byte,
    score_answers,
    score_texts,
    token_histogram,
    unigram_bits_per_byte,
)
from hftrain.tokens.chat import encode_text, load_tokenizer

TALK = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good night."}]


@pytest.fixture
def even(tiny_model: Any) -> tuple[Any, Any]:
    """A model that finds all 320 tokens equally likely, always."""
    model, tokenizer = tiny_model(tie_word_embeddings=False)
    torch.nn.init.zeros_(model.lm_head.weight)
    return model, tokenizer


def test_two_halving_tokens_over_four_bytes_cost_half_a_bit_per_byte() -> None:
    assert bits_per_byte(2 * math.log(2), 4) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="0 bytes"):
        bits_per_byte(1.0, 0)


def test_every_token_of_a_text_is_scored_once_however_rows_are_cut(even: tuple[Any, Any]) -> None:
    model, tokenizer = even
    text = "The cat sat on the mat and looked at the red ball."
    tokens = len(encode_text(tokenizer, text))
    for row_tokens in (3, 7, 64):
        score = score_texts(model, tokenizer, [text, text], row_tokens=row_tokens, batch_rows=2)
        assert (score.tokens, score.bytes) == (2 * tokens, 2 * len(text))
        assert score.nats == pytest.approx(2 * tokens * math.log(320), rel=1e-6)


def test_padding_and_batching_change_no_score(tiny_model: Any) -> None:
    model, tokenizer = tiny_model()
    texts = ["The cat.", "A small dog ran after the ball, and the cat ran after the dog.", "Hello!"]
    alone = sum(score_texts(model, tokenizer, [text], row_tokens=64).nats for text in texts)
    together = score_texts(model, tokenizer, texts, row_tokens=64, batch_rows=3).nats
    assert together == pytest.approx(alone, rel=1e-6)


def test_answers_count_their_own_tokens_and_their_end(even: tuple[Any, Any]) -> None:
    model, tokenizer = even
    score = score_answers(model, tokenizer, [TALK, TALK])
    assert score.tokens == 2 * (len(encode_text(tokenizer, "Good night.")) + 1)
    assert score.nats_per_token == pytest.approx(math.log(320), rel=1e-6)


def test_scoring_answers_without_any_is_an_error(even: tuple[Any, Any]) -> None:
    with pytest.raises(DataError, match="none has an assistant's turn"):
        score_answers(*even, [TALK[:1]])


def test_scoring_leaves_training_mode_as_it_was(even: tuple[Any, Any]) -> None:
    model, tokenizer = even
    model.train()
    score_texts(model, tokenizer, ["The cat."], row_tokens=8)
    assert model.training


def test_a_histogram_counts_tokens() -> None:
    assert token_histogram(iter([[0, 2, 2], [2]]), 4).tolist() == [1, 0, 3, 0]


def test_a_unigram_model_by_hand(tokenizer_dir: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    ids = encode_text(tokenizer, "cat")
    counts = torch.zeros(320, dtype=torch.long)
    counts[ids] = 680 // len(ids)
    expected = sum(-math.log2((counts[token].item() + 1) / (counts.sum().item() + 320)) for token in ids) / 3
    assert unigram_bits_per_byte(counts, tokenizer, ["cat"]) == pytest.approx(expected)
