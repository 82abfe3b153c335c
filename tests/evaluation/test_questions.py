from hftrain.evaluation.questions import parts


def test_parts_are_of_like_size_and_hold_everything_once() -> None:
    texts = ["a" * size for size in (9, 1, 1, 5, 4, 3, 7)]

    found = parts(texts, len, 3)

    assert sorted(len("".join(part)) for part in found) == [10, 10, 10]
    assert sorted(text for part in found for text in part) == sorted(texts)


def test_few_texts_are_parts_of_their_own() -> None:
    assert parts(["a", "b"], len, 40) == [["a"], ["b"]]
