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


PARTS = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}
SAID = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
RESULT = {"role": "tool", "content": "7 degrees"}


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [PARTS, ANSWER]},
        {"messages": [USER, ANSWER], "tools": None, "system": ""},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "model", "value": "Hello"}]},
        {"instruction": "Hi", "context": "", "response": "Hello"},
    ],
)
def test_parts_of_text_and_empty_fields_change_nothing(record: dict[str, object]) -> None:
    row = read(record)
    assert row["messages"] == [USER, ANSWER] and row["meta"] == "{}"


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{"role": "developer", "content": "Be kind."}, USER, ANSWER]},
        {"messages": [USER, ANSWER], "system": "Be kind."},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": "Be kind."},
        {"instruction": "Hi", "output": "Hello", "system": "Be kind."},
        {"prompt": [USER], "completion": "Hello", "system": "Be kind."},
    ],
)
def test_a_system_text_beside_the_turns_is_their_first_message(record: dict[str, object]) -> None:
    assert read(record)["messages"] == [{"role": "system", "content": "Be kind."}, USER, ANSWER]


@pytest.mark.parametrize(
    "turns",
    [
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [{"function": CALL}]},
                RESULT,
                ANSWER,
            ]
        },
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": CALL | {"arguments": '{"city": "Oslo"}'}}
                    ],
                },
                RESULT | {"tool_call_id": "1", "name": "get_weather"},
                ANSWER,
            ]
        },
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "function_call": CALL},
                {"role": "function", "name": "get_weather", "content": "7 degrees"},
                ANSWER,
            ]
        },
        {
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "function_call", "value": json.dumps(CALL)},
                {"from": "observation", "value": "7 degrees"},
                {"from": "gpt", "value": "Hello"},
            ]
        },
        {
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": SAID},
                {"from": "tool", "value": "7 degrees"},
                {"from": "gpt", "value": "Hello"},
            ]
        },
    ],
)
def test_calls_of_tools_are_an_assistants_text_in_one_form(turns: dict[str, object]) -> None:
    assert read(turns)["messages"] == [USER, {"role": "assistant", "content": SAID}, RESULT, ANSWER]


def test_words_before_a_call_stand_over_it() -> None:
    turn = {"role": "assistant", "content": "Let me look. ", "tool_calls": [{"function": CALL}]}
    assert read({"messages": [USER, turn]})["messages"][1]["content"] == f"Let me look.\n{SAID}"  # type: ignore[index]


def test_tools_are_listed_at_the_end_of_the_system_message_once() -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    kind = {"role": "system", "content": "Be kind."}
    for tools in ([tool], json.dumps([tool])):
        said = read({"messages": [kind, USER, ANSWER], "tools": tools})["messages"][0]  # type: ignore[index]
        assert said["content"].startswith("Be kind.\n\n# Tools\n") and json.dumps(tool) in said["content"]
    again = read({"messages": [said, USER, ANSWER], "tools": [tool]})
    assert again["messages"][0] == said  # type: ignore[index]
    alone = read({"messages": [USER, ANSWER], "functions": [tool]})["messages"][0]  # type: ignore[index]
    assert alone["role"] == "system" and alone["content"].startswith("# Tools")


def test_alpacas_history_comes_first() -> None:
    row = read({"instruction": "And now?", "output": "Evening.", "history": [["Hi", "Hello"]]})
    assert row["messages"][:2] == [USER, ANSWER] and len(row["messages"]) == 4  # type: ignore[index,arg-type]


def test_a_tool_may_give_back_nothing() -> None:
    row = read({"messages": [USER, ANSWER, {"role": "tool", "content": ""}, ANSWER]})
    assert row["messages"][2] == {"role": "tool", "content": ""}  # type: ignore[index]


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}


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
        ({"messages": [IMAGE, ANSWER]}, "message 1, field 'content', part 1: 'image_url'. Parts of type 'text'"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": 1}]}]}, "message 2, field 'tool_calls'"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}]},
            "The arguments of 'f' as a JSON object is needed",
        ),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "5"}]}]},
            "the arguments of 'f' are int '5'",
        ),
        ({"messages": [USER | {"tool_calls": [CALL]}, ANSWER]}, "calls of tools by the role 'user'"),
        ({"messages": [USER, ANSWER], "tools": "hammer"}, "field 'tools': str 'hammer' is no JSON"),
        ({"messages": [USER, ANSWER], "tools": {"a": 1}}, "field 'tools': dict"),
        ({"conversations": [{"from": "function_call", "value": "f(x)"}]}, "message 1, field 'value': str 'f(x)'"),
        ({"messages": [USER, ANSWER | {"weight": 0}]}, "message 2: weight 0"),
        (
            {"messages": [{"role": "system", "content": "a"}, USER, ANSWER], "system": "b"},
            "field 'system': there is a system message too",
        ),
        ({"instruction": "Hi", "output": "x", "history": ["Hi"]}, "field 'history', pair 1: str 'Hi'"),
        ({"prompt": 5, "completion": "x"}, "field 'prompt': int '5'"),
        ({"instruction": "", "output": "x"}, "field 'instruction': empty"),
    ],
)
def test_anything_else_is_refused_with_place_and_field(record: dict[str, object], said: str) -> None:
    with pytest.raises(DataError) as refusal:
        read(record)
    message = str(refusal.value)
    assert message.startswith("talk.jsonl, row 9") and said in message
