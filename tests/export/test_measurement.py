import pytest

from hftrain.corpus.storage import DOCUMENT_FEATURES, write_rows
from hftrain.errors import DataError
from hftrain.export.measurement import (
    PROMPTS,
    Measured,
    bytes_below,
    draw_sample,
    greedy_agreement,
    measure_in_transformers,
    until_end,
)

SIZES = {"text_bytes": 600, "prompt_count": 3, "answer_tokens": 8}


def measured(*answers):
    return Measured(runtime="here", bits_per_byte=1.0, answers=answers, tokens_per_second=1.0)


def test_three_equal_tokens_of_an_answer_of_four_and_one_of_two_agree_in_two_thirds():
    full, other = measured((1, 2, 3, 4), (5, 6)), measured((1, 2, 3, 9), (5,))

    assert greedy_agreement(full, other) == pytest.approx(4 / 6)


def test_an_answer_ends_with_its_first_end_token():
    assert until_end([4, 7, 2, 4, 2], frozenset({2, 3})) == (4, 7, 2)
    assert until_end([4, 7], frozenset({2, 3})) == (4, 7)


def test_bytes_are_counted_below_folders_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"12345")
    (tmp_path / "note").write_bytes(b"123")

    assert (bytes_below(tmp_path), bytes_below(tmp_path / "a", "weights")) == (8, 5)


def test_a_sample_is_the_same_for_a_seed_and_another_for_another(corpus_dir, model, tokenizer):
    first, again, other = (draw_sample(corpus_dir, model, tokenizer, **SIZES, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.texts != other.texts
    assert len(first.prompts) == 3 and first.row_tokens == 127


def test_a_sample_holds_as_many_bytes_as_asked_for_and_no_document_more_than_its_share(tmp_path, model, tokenizer):
    common = {"source": "s", "license": "l", "meta": "{}"}
    rows = [{"id": str(index), "text": "ü" * 1000, **common} for index in range(40)]
    write_rows(tmp_path / "heldout", rows, DOCUMENT_FEATURES)

    sample = draw_sample(tmp_path, model, tokenizer, **SIZES, seed=0)

    sizes = [len(text.encode()) for text in sample.texts]
    assert sum(sizes) == 600 and max(sizes) == 2 * (600 // 16)
    assert sample.prompts == PROMPTS


def test_no_held_out_text_is_told(tmp_path, model, tokenizer):
    write_rows(tmp_path / "heldout", [], DOCUMENT_FEATURES)

    with pytest.raises(DataError, match="heldout: no text"):
        draw_sample(tmp_path, model, tokenizer, **SIZES, seed=0)


def test_answers_that_leave_no_room_for_a_prompt_are_told(corpus_dir, model, tokenizer):
    with pytest.raises(DataError, match=r"export.answer_tokens: 120, but the model's context is 128"):
        draw_sample(corpus_dir, model, tokenizer, text_bytes=100, prompt_count=1, answer_tokens=120, seed=0)


def test_a_model_agrees_with_itself(corpus_dir, model, tokenizer):
    sample = draw_sample(corpus_dir, model, tokenizer, **SIZES, seed=0)

    first, second = (measure_in_transformers(model, tokenizer, sample) for _ in range(2))

    assert first.bits_per_byte == second.bits_per_byte > 0
    assert greedy_agreement(first, second) == 1
    assert first.tokens_per_second > 0
