"""Weights, budgets and epochs by worked numbers."""

import numpy
import pytest

from hftrain.corpus.mixtures import copies, group_of, shares
from hftrain.corpus.settings import MixtureSettings, ShareSettings


def mixture(total: int | None = None, **sources: ShareSettings) -> MixtureSettings:
    return MixtureSettings(sources=sources, total_tokens=total)


def test_without_a_total_the_scarcest_source_says_how_much() -> None:
    asked = mixture(books=ShareSettings(weight=3), web=ShareSettings(weight=1))
    assert shares({"books": 300.0, "web": 1000.0}, asked) == {"books": 300, "web": 100}


def test_more_epochs_allow_more() -> None:
    asked = mixture(books=ShareSettings(weight=3, maximum_epochs=2), web=ShareSettings(weight=1))
    assert shares({"books": 300.0, "web": 1000.0}, asked) == {"books": 600, "web": 200}


def test_a_total_is_dealt_by_weight_and_what_one_cannot_use_goes_to_the_others() -> None:
    asked = mixture(600, books=ShareSettings(weight=2), web=ShareSettings(weight=1), code=ShareSettings(weight=1))
    # By weight 300, 150, 150; books have 100, so 500 are left for two equal weights, of which code has 200.
    assert shares({"books": 100.0, "web": 1000.0, "code": 200.0}, asked) == {"books": 100, "web": 300, "code": 200}


def test_a_budget_of_tokens_caps_a_source() -> None:
    asked = mixture(400, books=ShareSettings(maximum_tokens=50), web=ShareSettings())
    assert shares({"books": 500.0, "web": 1000.0}, asked) == {"books": 50, "web": 350}


def test_too_little_of_everything_gives_all_there_is() -> None:
    asked = mixture(10_000, books=ShareSettings(), web=ShareSettings())
    assert shares({"books": 500.0, "web": 100.0}, asked) == {"books": 500, "web": 100}


def test_a_source_that_is_not_there_gives_nothing_and_stops_nobody() -> None:
    assert shares({"web": 100.0}, mixture(books=ShareSettings(), web=ShareSettings())) == {"books": 0, "web": 100}


def test_the_first_pattern_that_fits_counts() -> None:
    patterns = ["books/poetry/*", "books/*"]
    assert group_of("books/poetry/keats.txt", patterns) == "books/poetry/*"
    assert group_of("books/emma.txt", patterns) == "books/*"
    assert group_of("web.jsonl", patterns) is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0.0, [0, 0, 0]),
        (30.0, [0, 0, 1]),  # the smallest order number first
        (59.0, [0, 0, 1]),  # 40 more would not fit
        (70.0, [1, 0, 1]),
        (100.0, [1, 1, 1]),
        (235.0, [2, 2, 3]),
    ],
)
def test_whole_passes_come_first_then_the_smallest_order_numbers(wanted: float, expected: list[int]) -> None:
    sizes, order = numpy.array([40.0, 30.0, 30.0]), numpy.array([2, 3, 1], numpy.uint64)
    assert copies(sizes, order, wanted).tolist() == expected


def test_adding_a_document_only_pushes_out_later_ones() -> None:
    sizes, order = numpy.full(10, 5.0), numpy.arange(10, dtype=numpy.uint64)[::-1].copy()
    before = copies(sizes, order, 25.0)
    after = copies(numpy.append(sizes, 5.0), numpy.append(order, numpy.uint64(7)), 25.0)[:10]
    assert (after <= before).all()
