from hftrain.training.answering import longest_answer


def row(*answers: int) -> dict[str, list[int]]:
    """A row with answers of so many tokens."""
    labels = [label for length in answers for label in (-100, *[7] * length)]
    return {"input_ids": labels, "labels": labels}


def test_an_answer_may_be_as_long_as_all_but_one_in_a_hundred() -> None:
    rows = [row(length) for length in range(1, 101)]
    assert longest_answer(rows, max_row_tokens=1000) == 99
    assert longest_answer([row(3, 9, 4)], max_row_tokens=1000) == 9


def test_half_a_row_is_left_for_the_prompt() -> None:
    assert longest_answer([row(90)], max_row_tokens=100) == 50
