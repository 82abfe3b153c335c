from typing import Any

import pytest
import torch

from hftrain.errors import DataError
from hftrain.models.generation import answer_prompts, continue_text, left_padded

HELLO = [{"role": "user", "content": "Hello!"}]
LONGER = [{"role": "user", "content": "What is your name? Do you like books?"}]


def test_answers_do_not_depend_on_who_shares_the_batch(tiny_model: Any) -> None:
    model, tokenizer = tiny_model()
    together = answer_prompts(model, tokenizer, [HELLO, LONGER], new_tokens=6, temperature=0, seed=0)
    alone = [answer_prompts(model, tokenizer, [one], new_tokens=6, temperature=0, seed=0)[0] for one in (HELLO, LONGER)]
    assert together == alone


def test_sampling_repeats_by_seed_and_leaves_the_callers_dice_alone(tiny_model: Any) -> None:
    model, tokenizer = tiny_model()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (
        answer_prompts(model, tokenizer, [HELLO], answers_per_prompt=3, new_tokens=6, temperature=1.0, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == second != other
    assert len(first[0]) == 3
    assert torch.rand(1) == expected


def test_an_answer_says_whether_it_ended_by_itself(tiny_model: Any) -> None:
    model, tokenizer = tiny_model(tie_word_embeddings=False)
    torch.nn.init.zeros_(model.lm_head.weight)
    model.lm_head.weight.data[tokenizer.eos_token_id] = 100 * model.model.norm.weight.sign()
    answer = answer_prompts(model, tokenizer, [HELLO], new_tokens=6, temperature=0, seed=0)[0][0]
    model.lm_head.weight.data.zero_()
    endless = answer_prompts(model, tokenizer, [HELLO], new_tokens=6, temperature=0, seed=0)[0][0]
    assert len(endless.tokens) == 6 and not endless.ended
    assert answer.ended is (answer.tokens[-1] == tokenizer.eos_token_id)


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(tiny_model: Any) -> None:
    model, tokenizer = tiny_model()
    with pytest.raises(DataError, match="the model's context is 128. At most 28 prompt tokens fit"):
        answer_prompts(model, tokenizer, [LONGER], new_tokens=100, temperature=0, seed=0)


def test_text_goes_on_from_each_beginning(tiny_model: Any) -> None:
    model, tokenizer = tiny_model()
    assert len(continue_text(model, tokenizer, ["The cat", "A"], new_tokens=4, temperature=0, seed=0)) == 2


def test_rows_are_padded_on_the_left() -> None:
    ids, mask = left_padded([[1, 2, 3], [4]], pad=0)
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
