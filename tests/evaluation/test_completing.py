from collections.abc import Callable
from typing import Any

import torch

from hftrain.evaluation.completing import complete


def test_answers_are_the_likeliest_tokens_whoever_is_beside(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()
    prompts = ["The cat", "What is your name? My", "Hello"]

    together = complete(model.eval(), tokenizer, prompts, until=(), new_tokens=6)

    for prompt, text in zip(prompts, together, strict=True):
        ids = tokenizer(prompt)["input_ids"]
        for _ in range(6):
            with torch.no_grad():
                token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token in model.generation_config.eos_token_id:
                break
            ids = [*ids, token]
        assert text == tokenizer.decode(ids[len(tokenizer(prompt)["input_ids"]) :], skip_special_tokens=True)


def test_an_answer_ends_at_the_first_stop(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()
    (whole,) = complete(model.eval(), tokenizer, ["The cat"], until=(), new_tokens=12)
    stop = whole[len(whole) // 2]

    (cut,) = complete(model, tokenizer, ["The cat"], until=(stop,), new_tokens=12)

    assert cut == whole.split(stop)[0]


def test_a_prompt_that_leaves_no_room_is_cut_on_the_left(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()

    texts = complete(model.eval(), tokenizer, ["The cat sat. " * 200], until=(), new_tokens=8)

    assert len(texts) == 1
