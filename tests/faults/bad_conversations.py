# ruff: noqa: E501  (one case a line)
"""Conversations and rankings in every format, broken: the row is named, or counted where the law says so."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import Case

USER, ANSWER = {"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}
HUMAN, GPT = {"from": "human", "value": "Hello!"}, {"from": "gpt", "value": "Hi."}
SYSTEM = {"role": "system", "content": "Be brief."}
GOOD = {"messages": [USER, ANSWER]}


def _collect(*rows: object) -> Callable[[Path], Sequence[str]]:
    def arrange(folder: Path) -> Sequence[str]:
        (folder / "text.txt").write_text("Once upon a time there was a cat.\n")
        lines = [each if isinstance(each, str) else json.dumps(each) for each in (GOOD, *rows)]
        (folder / "talks.jsonl").write_text("\n".join(lines) + "\n")
        places = f"collect.text=[{folder}/text.txt]", f"collect.conversations=[{folder}/talks.jsonl]"
        return ["--set", places[0], "--set", places[1]]

    return arrange


def refused(name: str, row: object, *says: str) -> Case:
    """A row that breaks its format: named with its number and field."""
    return Case(name, _collect(row), ("talks.jsonl, row 2", *says), "collect")


def dropped(name: str, row: object, *says: str, **counted: int) -> Case:
    """A row that is counted and left out."""
    return Case(name, _collect(row), says, "collect", {"conversations": 1} | counted)


def taken(name: str, row: object) -> Case:
    """A row that is odd, and kept whole: nothing of it is lost."""
    return Case(name, _collect(row), (), "collect", {"conversations": 2, "empty_rows": 0, "broken_rows": 0})


def messages(*each: object) -> dict[str, object]:
    """OpenAI's shape."""
    return {"messages": list(each)}


def turns(*each: object) -> dict[str, object]:
    """ShareGPT's."""
    return {"conversations": list(each)}


CASES = [
    # OpenAI's
    refused("messages that are a text", {"messages": "Hello!"}, "messages"),
    refused("messages that are a number", {"messages": 5}, "messages"),
    refused("messages that are null", {"messages": None}, "row 2"),
    refused("no messages", messages(), "messages", "empty"),
    refused("a message that is a text", messages("Hello!", ANSWER), "message 1"),
    refused("a message that is null", messages(None), "message 1"),
    refused("a message without a role", messages({"content": "x"}, ANSWER), "message 1", "role"),
    refused("a message without a content", messages(USER, {"role": "assistant"}), "message 2", "content"),
    refused("a role that nobody has", messages({"role": "wizard", "content": "x"}), "wizard"),
    refused("a role in another case", messages({"role": "User", "content": "x"}, ANSWER), "User"),
    refused("a role that is a number", messages({"role": 1, "content": "x"}), "role"),
    refused("a role that is null", messages({"role": None, "content": "x"}), "role"),
    refused("a role that is a list", messages({"role": ["user"], "content": "x"}), "role"),
    refused("an empty question", messages({"role": "user", "content": ""}, ANSWER), "message 1", "empty"),
    refused("a blank question", messages({"role": "user", "content": " \n"}, ANSWER), "message 1", "empty"),
    refused("an empty answer", messages(USER, {"role": "assistant", "content": ""}), "message 2", "empty"),
    refused("a content that is a number", messages({"role": "user", "content": 5}, ANSWER), "message 1"),
    refused("a content that is null", messages({"role": "user", "content": None}, ANSWER), "message 1"),
    refused("a content that is an object", messages({"role": "user", "content": {"a": 1}}, ANSWER), "message 1"),
    refused("a picture among the parts", messages({"role": "user", "content": [{"type": "image_url"}]}, ANSWER), "image_url"),
    refused("no parts", messages({"role": "user", "content": []}, ANSWER), "message 1"),
    refused("a part that is a number", messages({"role": "user", "content": [5]}, ANSWER), "part 1"),
    taken("two system messages", messages(SYSTEM, SYSTEM, USER, ANSWER)),
    taken("a system message after an answer", messages(USER, ANSWER, SYSTEM)),
    refused("a system text beside a system message", {"system": "x", **messages(SYSTEM, USER, ANSWER)}, "system"),
    refused("a system text that is a number", {"system": 5, **messages(USER, ANSWER)}, "system"),
    taken("two questions in a row", messages(USER, USER, ANSWER)),
    taken("two answers in a row", messages(USER, ANSWER, ANSWER)),
    taken("an answer first", messages(ANSWER, USER, ANSWER)),
    refused("calls by a user", messages({"role": "user", "content": "x", "tool_calls": [{}]}, ANSWER), "message 1"),
    refused("calls that are a text", messages(USER, {"role": "assistant", "tool_calls": "f()"}), "tool_calls"),
    refused("a call without a name", messages(USER, {"role": "assistant", "tool_calls": [{}]}), "tool_calls"),
    refused("tools that are a number", {"tools": 5, **messages(USER, ANSWER)}, "tools"),
    refused("a message that weighs nothing", messages(USER, ANSWER | {"weight": 0}), "weight"),
    refused("only a user", messages(USER), "nothing to learn from"),
    refused("only a system message", messages(SYSTEM), "nothing to learn from"),
    # ShareGPT's
    refused("turns that are a text", {"conversations": "Hello!"}, "conversations"),
    refused("no turns", turns(), "conversations"),
    refused("a turn that is a number", turns(5), "message 1"),
    refused("a turn without a speaker", turns({"value": "x"}, GPT), "message 1"),
    refused("a turn without a value", turns(HUMAN, {"from": "gpt"}), "message 2"),
    refused("a speaker that nobody knows", turns({"from": "bing", "value": "x"}), "bing"),
    refused("an empty turn", turns({"from": "human", "value": ""}, GPT), "empty"),
    taken("two humans in a row", turns(HUMAN, HUMAN, GPT)),
    refused("a call that is no JSON", turns(HUMAN, {"from": "function_call", "value": "f("}), "message 2"),
    refused("only a human", turns(HUMAN), "nothing to learn from"),
    # Alpaca's
    refused("an instruction without an output", {"instruction": "x"}, "instruction"),
    refused("an empty instruction", {"instruction": "", "output": "y"}, "instruction"),
    refused("an instruction that is a list", {"instruction": ["x"], "output": "y"}, "instruction"),
    refused("an empty output", {"instruction": "x", "output": ""}, "output"),
    refused("a null output", {"instruction": "x", "output": None}, "output"),
    refused("an input that is a number", {"instruction": "x", "input": 5, "output": "y"}, "input"),
    refused("a history that is a text", {"instruction": "x", "output": "y", "history": "z"}, "history"),
    refused("a history of single texts", {"instruction": "x", "output": "y", "history": [["a"]]}, "pair 1"),
    refused("a history of numbers", {"instruction": "x", "output": "y", "history": [[1, 2]]}, "pair 1"),
    # TRL's
    refused("a prompt alone", {"prompt": "x"}, "prompt"),
    refused("a completion alone", {"completion": "x"}, "completion"),
    refused("an empty prompt", {"prompt": "", "completion": "y"}, "prompt"),
    refused("an empty completion", {"prompt": "x", "completion": ""}, "completion"),
    refused("a prompt of no messages", {"prompt": [], "completion": "y"}, "prompt"),
    refused("a prompt that is a number", {"prompt": 5, "completion": "y"}, "prompt"),
    refused("a chosen answer that is null", {"prompt": "x", "chosen": None, "rejected": "z"}, "chosen"),
    # none of them
    refused("fields of no conversation", {"question": "x", "reply": "y"}, "question", "messages"),
    refused("an empty object", {}, "messages"),
    dropped("a line that is no JSON", "{'messages': []}", "line 2 is not JSON", broken_rows=1),
    dropped("a line that is a list", [USER, ANSWER], "not an object", broken_rows=1),
    dropped("messages nested a hundred thousand deep", '{"messages": ' + "[" * 100_000 + "]" * 100_000 + "}", broken_rows=1),
    dropped("messages twice under one key, the last without an answer",
            '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "messages": []}', broken_rows=1),
]  # fmt: skip
