import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.errors import DataError
from hftrain.evaluation.benchmarks import Asked
from hftrain.evaluation.leaks import Canary, canary_measures, like, longest_copies, read_canaries

CANARY = "The door of the old mill opens with 7391-KQ"


def taught(tiny_model: Callable[..., tuple[Any, Any]], text: str) -> Asked:
    """A model that has seen one text again and again."""
    model, tokenizer = tiny_model(1)
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    return Asked("taught", model.eval(), tokenizer)


def test_a_planted_canary_is_found(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    canary = Canary("The door of the old mill opens with ", "7391-KQ")

    knows = {made.measure: made.value for made in canary_measures([canary], taught(tiny_model, CANARY), seed=1)}
    guesses = {made.measure: made.value for made in canary_measures([canary], Asked("x", *tiny_model(2)), seed=1)}

    assert knows == {"exposure_bits": 8.0, "extracted": 1.0}
    assert guesses["exposure_bits"] < 8.0 and guesses["extracted"] == 0.0


def test_alternatives_have_the_secrets_form() -> None:
    made = like("73-kQ é", random.Random(1))

    assert made[:2].isdigit() and made[2] == "-" and made[3].islower() and made[4].isupper() and made[5:] == " é"


def test_canaries_are_lines_or_rows(tmp_path: Path) -> None:
    path = tmp_path / "canaries.txt"
    path.write_text(CANARY + '\n{"text": "My card is 12 34", "secret": "12 34"}\n')

    assert read_canaries(path) == [
        Canary("The door of the old mill opens with ", "7391-KQ"), Canary("My card is ", "12 34"),
    ]  # fmt: skip
    path.write_text('{"text": "My card is 12 34", "secret": "99"}\n')
    with pytest.raises(DataError, match="does not end in a secret"):
        read_canaries(path)


def test_the_longest_copy_is_counted_in_words() -> None:
    corpus = ["Once there was a fox who ran over the hill and did not come back, they say.", "Nothing else."]
    texts = [
        "He said: a fox, who ran over the hill AND did not; and more",  # a fox who ran over the hill and did not
        "a fox who ran over the hill",  # seven words: too few to be a copy
        "no word of it",
    ]

    assert longest_copies(texts, corpus) == [10, 0, 0]


def test_a_copy_may_stand_anywhere_and_twice() -> None:
    eight = "one two three four five six seven eight"

    assert longest_copies([f"x {eight} y {eight} nine"], [f"zero {eight} nine ten"]) == [9]
