import pytest

from hftrain.corpus.funnel import EXAMPLES_PER_RULE, LISTED_SOURCES, Funnel


def passed_through(funnel: Funnel, number: int, *, rule: str | None, source: str = "tales") -> None:
    text = "é" * number
    funnel.see(source, text)
    if rule:
        funnel.drop(rule, {"id": f"{number:03}", "source": source}, text, f"{number} chars")
    else:
        funnel.keep(source, text)


def test_rows_and_bytes_are_counted_by_rule_and_source() -> None:
    funnel = Funnel()
    passed_through(funnel, 3, rule=None)
    passed_through(funnel, 5, rule="too_short", source="notes")
    passed_through(funnel, 7, rule="too_short")

    account = funnel.as_json()

    assert (account["in"], account["kept"], account["in_bytes"], account["kept_bytes"]) == (3, 1, 30, 6)
    assert account["dropped"]["too_short"]["documents"] == 2
    assert account["dropped"]["too_short"]["bytes"] == 24
    assert account["by_source"] == {"tales": {"in": 2, "kept": 1}, "notes": {"in": 1, "kept": 0}}
    assert funnel.top_reasons() == "too_short 2"


def test_examples_are_those_with_the_smallest_ids_in_any_order() -> None:
    accounts = []
    for numbers in (range(20), reversed(range(20)), [19, *range(19), 3, 3]):
        funnel = Funnel()
        for number in numbers:
            passed_through(funnel, number, rule="odd")
        accounts.append([example["id"] for example in funnel.as_json()["dropped"]["odd"]["examples"]])
    assert accounts == [[f"{number:03}" for number in range(EXAMPLES_PER_RULE)]] * 3


def test_an_example_shows_the_first_300_characters() -> None:
    funnel = Funnel()
    passed_through(funnel, 400, rule="long")
    example = funnel.as_json()["dropped"]["long"]["examples"][0]
    assert len(example["text"]) == 300 and example["detail"] == "400 chars"


def test_many_sources_are_told_as_a_few_and_the_rest() -> None:
    funnel = Funnel()
    for number in range(LISTED_SOURCES + 30):
        passed_through(funnel, 1, rule=None, source=f"page {number:03}")
    by_source = funnel.as_json()["by_source"]
    assert len(by_source) == LISTED_SOURCES + 1
    assert by_source["(other sources)"] == {"in": 30, "kept": 30}


def test_a_row_that_was_lost_is_our_own_error() -> None:
    funnel = Funnel()
    funnel.see("tales", "A cat.")
    with pytest.raises(AssertionError, match="1 seen, 0 kept"):
        funnel.as_json()
