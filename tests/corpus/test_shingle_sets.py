from collections.abc import Sequence

import numpy
import pytest

from hftrain.corpus import shingle_sets
from hftrain.corpus.shingle_sets import ShingleSets

TEXTS = [
    "a b c d e f g",  # abcde bcdef cdefg
    "A, b c d e f!",  # abcde bcdef
    "x a b c d e",  # xabcd abcde
    "",
    "a b",
    "B a",
    "a b c d e f g a b c d e f g",
]


def similarities(sets: ShingleSets, *pairs: tuple[int, int]) -> list[float]:
    first, second = numpy.array(pairs).T
    return sets.jaccard(first, second).tolist()


def test_similarity_is_common_shingles_over_all() -> None:
    sets = ShingleSets(lambda asked: [TEXTS[one] for one in asked])
    pairs = [(0, 1), (0, 2), (1, 0), (3, 3), (3, 0), (4, 4), (4, 5), (0, 6)]
    assert similarities(sets, *pairs) == [2 / 3, 1 / 4, 2 / 3, 0, 0, 1, 0, 3 / 7]


@pytest.mark.parametrize(("cached", "times"), [(16_000_000, 1), (2, 3)])
def test_texts_are_fetched_in_order_and_kept_as_long_as_there_is_room(
    cached: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = []

    def texts(asked: Sequence[int]) -> list[str]:
        asked_for.append(list(asked))
        return [TEXTS[one] for one in asked]

    monkeypatch.setattr(shingle_sets, "CACHED_SHINGLES", cached)
    monkeypatch.setattr(shingle_sets, "FETCHED_DOCUMENTS", 2)
    sets = ShingleSets(texts)
    for _ in range(3):
        assert similarities(sets, (6, 0), (2, 1), (0, 1)) == [3 / 7, 1 / 3, 2 / 3]
    assert asked_for[:2] == [[0, 1], [2, 6]]
    assert sum(asked.count(0) for asked in asked_for) == times


def test_no_pairs_ask_for_no_texts() -> None:
    nothing = numpy.empty(0, numpy.int64)
    assert ShingleSets(lambda asked: 1 / 0).jaccard(nothing, nothing).tolist() == []
