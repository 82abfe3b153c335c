from types import SimpleNamespace
from typing import Any

import pytest

from hftrain.alignment.preference_policy import TokenPairs
from hftrain.alignment.unpaired import as_unpaired, labelled_answers, with_strangers
from hftrain.errors import DataError


def pair(prompt: int, chosen: int, rejected: int) -> dict[str, Any]:
    return {"prompt_ids": [prompt], "chosen_ids": [chosen, 0], "rejected_ids": [rejected, 0]}


def row(prompt: int, answer: list[int]) -> dict[str, Any]:
    return {"prompt_ids": [prompt], "completion_ids": answer, "label": True}


def test_an_answer_is_desirable_if_chosen_more_often_than_rejected_and_comes_once() -> None:
    # 7 beats 8 and 9, 8 beats 9: 7 won twice, 9 lost twice, 8 once each
    rows, ambiguous = labelled_answers([pair(1, 7, 8), pair(1, 7, 9), pair(1, 8, 9), pair(2, 8, 7)])
    assert [(each["prompt_ids"], each["completion_ids"][0], each["label"]) for each in rows] == [
        ([1], 7, True),
        ([1], 9, False),
        ([2], 8, True),
        ([2], 7, False),
    ]
    assert ambiguous == 1


def test_where_every_prompt_differs_strangers_are_trls_the_one_before_round_the_batch() -> None:
    rows = [row(prompt, [prompt * 10]) for prompt in range(1, 6)]
    strangers = [each["KL_completion_ids"][0] for each in with_strangers(rows, 3, 128)]
    assert strangers == [30, 10, 20, 50, 40]


def test_a_stranger_answers_another_prompt_and_fits() -> None:
    rows = [row(1, [11]), row(1, [12]), row(2, [21] * 9)]
    assert [each["KL_completion_ids"] for each in with_strangers(rows, 3, 10)] == [[21] * 9, [21] * 9, [12]]
    with pytest.raises(DataError, match="no answer to another prompt fits 9 tokens behind a prompt of 1"):
        with_strangers(rows, 3, 9)


def test_one_prompt_alone_has_no_stranger() -> None:
    with pytest.raises(DataError, match="Collect preferences on more prompts"):
        with_strangers([row(1, [11]), row(1, [12])], 2, 128)


def test_rows_are_shuffled_by_the_seed_and_counted() -> None:
    pairs = TokenPairs([pair(prompt, 7, 8) for prompt in range(1, 9)], [pair(9, 7, 8), pair(10, 7, 8)], {})

    def rows(seed: int) -> Any:
        return as_unpaired(pairs, SimpleNamespace(seed=seed, per_device_train_batch_size=4), 128)

    train, heldout, counts = rows(1)
    assert counts == {"train_answers": 16, "desirable_answers": 8, "undesirable_answers": 8, "ambiguous_answers": 0}
    assert rows(1)[0] == train != rows(2)[0]
    assert len(heldout) == 4
    assert all(each["KL_completion_ids"][-1] == 0 for each in train)
