import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftrain.corpus import funnel as module
from hftrain.corpus.funnel import EXAMPLES_PER_RULE, LISTED_SOURCES, Funnel


def passed_through(funnel: Funnel, number: int, *, rule: str | None, source: str = "tales") -> None:
    text = "x" * number
    funnel.see(source, number)
    if rule:
        funnel.drop(rule, {"id": f"{number:03}", "source": source}, number, text, f"{number} chars")
    else:
        funnel.keep(source, number, as_bytes=number - 1)


def test_documents_and_bytes_are_accounted_for_by_rule_and_source() -> None:
    funnel = Funnel()
    passed_through(funnel, 3, rule=None)
    passed_through(funnel, 5, rule="too_short", source="notes")
    passed_through(funnel, 7, rule="too_short")

    account = funnel.as_json()

    assert (account["in"], account["in_bytes"]) == (3, 15)
    assert (account["kept"], account["kept_bytes"], account["kept_as_bytes"]) == (1, 3, 2)
    assert (account["dropped"]["too_short"]["documents"], account["dropped"]["too_short"]["bytes"]) == (2, 12)
    assert account["by_source"] == {
        "tales": {
            "in": {"documents": 2, "bytes": 10},
            "kept": {"documents": 1, "bytes": 3},
            "dropped": {"too_short": {"documents": 1, "bytes": 7}},
        },
        "notes": {
            "in": {"documents": 1, "bytes": 5},
            "kept": {"documents": 0, "bytes": 0},
            "dropped": {"too_short": {"documents": 1, "bytes": 5}},
        },
    }
    assert funnel.top_reasons() == "too_short 2"


def test_examples_are_the_smallest_ids_in_any_order() -> None:
    accounts = []
    for order in (range(1, 20), range(19, 0, -1)):
        funnel = Funnel()
        for number in order:
            passed_through(funnel, number, rule="odd")
        accounts.append([example["id"] for example in funnel.as_json()["dropped"]["odd"]["examples"]])
    assert accounts[0] == accounts[1] == [f"{number:03}" for number in range(1, EXAMPLES_PER_RULE + 1)]


def test_an_example_shows_the_text_around_what_is_wrong() -> None:
    funnel = Funnel()
    text = "a" * 1000 + "secret" + "b" * 1000
    funnel.see("notes", len(text))
    funnel.drop("personal_data", {"id": "1", "source": "notes"}, len(text), text, "key 'secret'", start=1000)
    shown = funnel.as_json()["dropped"]["personal_data"]["examples"][0]["text"]
    assert shown.startswith("…a") and "secretb" in shown and len(shown) == 301


def test_an_example_holds_no_personal_data() -> None:
    funnel = Funnel()
    text = "Ask ann@iki.fi, she knows."
    funnel.see("notes", len(text))
    funnel.drop("too_few_words", {"id": "1", "source": "notes"}, len(text), text, "4 words near 'ann@iki.fi'")
    example = funnel.as_json()["dropped"]["too_few_words"]["examples"][0]
    assert (example["text"], example["detail"]) == ("Ask <EMAIL>, she knows.", "4 words near '<EMAIL>'")


def test_small_sources_beyond_the_listed_ones_are_told_together() -> None:
    funnel = Funnel()
    for number in range(LISTED_SOURCES + 30):
        passed_through(funnel, 1, rule=None, source=f"page {number:03}")
    by_source = funnel.as_json()["by_source"]
    assert len(by_source) == LISTED_SOURCES + 1
    assert by_source["(other sources)"]["in"] == by_source["(other sources)"]["kept"] == {"documents": 30, "bytes": 30}


def test_memory_does_not_grow_with_the_number_of_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED_SOURCES", 2)
    funnel = Funnel()
    for name in ("one", "two", "three", "four", "two"):
        passed_through(funnel, 1, rule=None if name == "four" else "odd", source=name)
    by_source = funnel.as_json()["by_source"]
    assert {name: account["in"]["documents"] for name, account in by_source.items()} == {
        "one": 1,
        "two": 2,
        "(other sources)": 2,
    }


def test_a_row_that_went_nowhere_is_our_own_bug() -> None:
    funnel = Funnel()
    funnel.see("tales", 6)
    with pytest.raises(AssertionError):
        funnel.as_json()


def test_bytes_must_add_up_too() -> None:
    funnel = Funnel()
    funnel.see("tales", 6)
    funnel.keep("tales", 5, as_bytes=5)
    with pytest.raises(AssertionError, match="tales"):
        funnel.as_json()


@given(st.lists(st.tuples(st.sampled_from([None, "odd", "short"]), st.sampled_from("abc"), st.integers(1, 9))))
def test_accounts_of_parts_add_up_to_that_of_the_whole(rows: list[tuple[str | None, str, int]]) -> None:
    whole, sum_of_parts = Funnel(), Funnel()
    for rule, source, number in rows:
        passed_through(whole, number, rule=rule, source=source)
        part = Funnel()
        passed_through(part, number, rule=rule, source=source)
        sum_of_parts.add(part)
    assert whole.as_json() == sum_of_parts.as_json() == Funnel.from_parts(whole.parts()).as_json()
