import pytest

from hftrain.export.measurement import (
    Measured,
    bytes_below,
    equal_answers,
    greedy_agreement,
    greedy_in_transformers,
    measure_in_transformers,
    until_end,
)
from hftrain.export.samples import draw_sample
from hftrain.tokens.chat import encode_prompt

SIZES = {"text_bytes": 600, "prompt_count": 3, "answer_tokens": 8}


def measured(*answers):
    return Measured(runtime="here", bits_per_byte=1.0, answers=answers)


def test_three_equal_tokens_of_an_answer_of_four_and_one_of_two_agree_in_two_thirds():
    full, other = measured((1, 2, 3, 4), (5, 6)), measured((1, 2, 3, 9), (5,))

    assert greedy_agreement(full, other) == pytest.approx(4 / 6)


def test_one_answer_of_two_that_is_equal_to_its_end_is_a_half():
    assert equal_answers(measured((1, 2), (5, 6)), measured((1, 2), (5, 6, 7))) == 0.5


def test_an_answer_ends_with_its_first_end_token():
    assert until_end([4, 7, 2, 4, 2], frozenset({2, 3})) == (4, 7, 2)
    assert until_end([4, 7], frozenset({2, 3})) == (4, 7)


def test_bytes_are_counted_below_folders_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"12345")
    (tmp_path / "note").write_bytes(b"123")

    assert (bytes_below(tmp_path), bytes_below(tmp_path / "a", "weights")) == (8, 5)


def test_a_model_agrees_with_itself(corpus_dir, model, tokenizer):
    sample = draw_sample(corpus_dir, model, tokenizer, **SIZES, seed=0)

    first, second = (measure_in_transformers(model, tokenizer, sample) for _ in range(2))

    assert first.bits_per_byte == second.bits_per_byte > 0
    assert greedy_agreement(first, second) == 1


def test_an_answer_for_the_clock_goes_on_past_end_tokens(model, tokenizer):
    model.generation_config.eos_token_id = list(range(4, 300))  # almost anything would end it

    made = greedy_in_transformers(model)(encode_prompt(tokenizer, []), 7)

    assert len(made) == 7
