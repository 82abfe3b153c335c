import json

import pytest

from hftrain.corpus.conversations import conversation_row
from hftrain.errors import DataError

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def read(record: dict[str, object]) -> dict[str, object]:
    return conversation_row(record, where="talk.jsonl, row 9", source="talk.jsonl", license=None)


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [USER, ANSWER]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"conversations": [USER, ANSWER]},
        {"instruction": "Hi", "input": "", "output": "Hello"},
        {"instruction": "Hi", "output": "Hello"},
        {"prompt": "Hi", "completion": "Hello"},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": [USER], "chosen": "Hello", "rejected": "Go away"},
        {"prompt": "Hi", "chosen": [ANSWER], "rejected": [ANSWER]},
    ],
)
def test_each_published_shape_gives_the_same_conversation(record: dict[str, object]) -> None:
    row = read(record)
    assert row["messages"] == [USER, ANSWER]
    assert row["id"] == read({"messages": [USER, ANSWER]})["id"]
    assert row["meta"] == "{}"


def test_an_alpaca_input_stands_under_the_instruction() -> None:
    row = read({"instruction": "Spell it.", "input": "freind", "output": "friend"})
    assert row["messages"][0]["content"] == "Spell it.\n\nfreind"  # type: ignore[index]


def test_a_system_message_stays_first() -> None:
    system = {"role": "system", "content": "Be kind."}
    assert read({"messages": [system, USER, ANSWER]})["messages"] == [system, USER, ANSWER]


def test_origin_is_carried_and_the_rest_goes_to_meta() -> None:
    row = read({"messages": [USER, ANSWER], "source": "TM-4", "license": "CC-BY-4.0", "category": "coffee"})
    assert (row["source"], row["license"]) == ("TM-4", "CC-BY-4.0")
    assert json.loads(str(row["meta"])) == {"category": "coffee"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"question": "Hi", "answer": "Hello"}, "fields answer, question are no conversation"),
        ({"messages": []}, "field 'messages': an empty list"),
        ({"messages": "Hi"}, "field 'messages': str 'Hi'"),
        ({"messages": ["Hi"]}, "message 1: str 'Hi'"),
        ({"messages": [{"role": "user"}]}, "message 1: an object with role"),
        ({"messages": [USER, {"role": "bot", "content": "x"}]}, "message 2: role 'bot'"),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "message 1: role 'alien'"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "message 2, field 'content': empty"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "message 2, field 'content': null"),
        ({"messages": [USER]}, "no message of an assistant"),
        ({"prompt": 5, "completion": "x"}, "field 'prompt': int '5'"),
        ({"instruction": "", "output": "x"}, "field 'instruction': empty"),
    ],
)
def test_anything_else_is_refused_with_place_and_field(record: dict[str, object], said: str) -> None:
    with pytest.raises(DataError) as refusal:
        read(record)
    message = str(refusal.value)
    assert message.startswith("talk.jsonl, row 9") and said in message
