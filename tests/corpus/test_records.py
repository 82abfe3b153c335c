import json

import pytest

from hftrain.corpus.records import conversation_id, document_id, document_row, json_text, storable
from hftrain.errors import DataError


def row_of(record: dict[str, object], **settings: object) -> dict[str, object] | None:
    given = {"number": 3, "source": "tales.jsonl", "text_column": "text", "license": None}
    return document_row(record, **(given | settings))  # type: ignore[arg-type]


def test_an_id_is_the_digest_of_the_text_alone() -> None:
    # the first 20 hex digits of: printf 'A cat sat.' | sha256sum
    assert document_id("A cat sat.") == "8686568f0586cba34e8b"
    here = row_of({"text": "A cat sat.", "id": 7}, source="one.jsonl")
    there = row_of({"text": "A cat sat.", "id": 8}, source="two.jsonl")
    assert here and there and here["id"] == there["id"] == document_id("A cat sat.")


def test_what_a_record_says_of_itself_wins_over_the_defaults() -> None:
    row = row_of({"text": "A cat sat.", "source": "Aesop", "license": "CC0-1.0"}, license="MIT")
    assert row is not None and (row["source"], row["license"]) == ("Aesop", "CC0-1.0")


def test_a_record_without_a_licence_gets_the_stated_one_or_unknown() -> None:
    stated, unstated = row_of({"text": "A cat."}, license="MIT"), row_of({"text": "A cat.", "license": ""})
    assert stated is not None and stated["license"] == "MIT"
    assert unstated is not None and unstated["license"] == "unknown"


def test_the_rest_of_a_record_goes_to_meta() -> None:
    row = row_of({"text": "A cat.", "title": "Cats", "author": "Ann", "id": 7, "chars": 6, "none": None})
    assert row is not None
    assert json.loads(str(row["meta"])) == {"title": "Cats", "author": "Ann", "id": 7, "chars": 6}


@pytest.mark.parametrize("text", [None, "", " \n\t"])
def test_a_record_without_text_is_no_document(text: str | None) -> None:
    assert row_of({"text": text}) is None


def test_a_record_without_the_text_column_is_refused_with_its_place_and_fields() -> None:
    with pytest.raises(DataError, match=r"tales.jsonl, row 3: no field 'text', only body, id") as refusal:
        row_of({"body": "A cat.", "id": 1})
    assert "collect.text_column" in str(refusal.value)


def test_a_text_that_is_no_text_is_refused_with_its_value() -> None:
    with pytest.raises(DataError, match=r"row 3: field 'text' holds int 42"):
        row_of({"text": 42})


def test_meta_is_json_whatever_is_in_it() -> None:
    text = json_text({"b": float("nan"), "a": {"nested": [b"x", 1.5]}, "half": "\ud83d"})
    assert json.loads(text) == {"a": {"nested": ["b'x'", 1.5]}, "b": None, "half": "\ufffd"}
    assert text.index('"a"') < text.index('"b"')


def test_meta_is_the_same_text_by_the_short_way_and_the_long() -> None:
    record = {"title": 'A "fox"\n\u2028', "n": 7, "ä": "ö"}
    assert json_text(record) == '{"n": 7, "title": "A \\"fox\\"\\n\u2028", "ä": "ö"}'
    assert json_text(record) == json.dumps(record, ensure_ascii=False, sort_keys=True)
    assert json_text({"is": True}) == '{"is": true}'
    more = record | {"is": True, "x": 1.5, "none": None, "list": [1, (2,)]}
    assert json_text(more) == json.dumps(more, ensure_ascii=False, sort_keys=True)


def test_halves_of_a_character_become_one_or_a_mark() -> None:
    assert storable("\ud83d\ude00!") == "😀!"
    assert storable("\ud83d!") == "\ufffd!"
    assert storable("plain") == "plain"


def test_conversations_with_other_roles_have_other_ids() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]
    assert conversation_id(turns) != conversation_id(turns[::-1])
    assert conversation_id(turns) == conversation_id([dict(turn) for turn in turns])
