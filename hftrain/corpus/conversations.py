"""The shapes in which conversations are published, read into one list of messages.

- ``{"messages": [{"role", "content"}, ...]}``: OpenAI, TRL
- ``{"conversations": [{"from", "value"}, ...]}``: ShareGPT
- ``{"instruction", "input", "output"}``: Alpaca; Dolly's ``{"instruction", "context", "response"}``
- ``{"prompt", "completion"}``: TRL; texts or lists of messages
- ``{"prompt", "chosen", "rejected"}``: preferences; the chosen answer is used

Beside any of them may stand ``system``, the text of a system message, and ``tools`` (or ``functions``), which its end
lists; beside Alpaca's also ``history``, earlier pairs of request and answer. A content may be a list of parts of text.
Calls of tools become an assistant's text (``hftrain.corpus.tool_calls``); what a tool gave back is a message of the
role ``tool``, in the order of the calls (their ids are not kept).
"""

from collections.abc import Mapping
from typing import NamedTuple

from hftrain.corpus.records import Row, conversation_id, origin, storable
from hftrain.corpus.tool_calls import LISTED, calls_as_text, list_of_tools
from hftrain.errors import DataError

ROLES = ("system", "user", "assistant", "tool")

CALL = "function_call"
"""In ShareGPT the role of a turn that is a call as JSON; in OpenAI's older messages a field."""

OPENAI_ROLES = {role: role for role in ROLES} | {"developer": "system", "function": "tool"}

SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    CALL: "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}

Message = dict[str, str]


class Form(NamedTuple):
    """How a list of turns is written."""

    role: str
    content: str
    roles: Mapping[str, str]


OPENAI = Form("role", "content", OPENAI_ROLES)
SHAREGPT = Form("from", "value", SHAREGPT_ROLES)


def conversation_row(record: Mapping[str, object], *, where: str, source: str, license: str | None) -> Row:
    """Make a conversation of a record.

    Raises:
        DataError: The record has none of the shapes above, a role is unknown, a content is not text or is empty, a
            call of a tool is none, or no assistant speaks.
    """
    messages, used = messages_of(record, where)
    return {
        "id": conversation_id(messages),
        "messages": messages,
        **origin(record, source=source, license=license, used=used),
    }


def messages_of(record: Mapping[str, object], where: str) -> tuple[list[Message], frozenset[str]]:
    """The messages of a record, and the fields that they came from.

    Raises:
        DataError: As `conversation_row`.
    """
    messages, used = _read(record, where)
    if not any(message["role"] == "assistant" for message in messages):
        raise DataError(
            f"{where}: no message of an assistant. There is nothing to learn from. "
            "Add the answer, or leave the row out."
        )
    return _with_system(messages, record, where), used | {"system", "tools", "functions"}


def _read(record: Mapping[str, object], where: str) -> tuple[list[Message], frozenset[str]]:
    if record.get("messages") is not None:
        return _turns(record["messages"], f"{where}, field 'messages'", OPENAI), frozenset({"messages"})
    if record.get("conversations") is not None:
        return _sharegpt(record["conversations"], f"{where}, field 'conversations'"), frozenset({"conversations"})
    for answer in ("completion", "chosen"):
        if "prompt" in record and answer in record:
            asked = _turns_or_text(record["prompt"], f"{where}, field 'prompt'", "user")
            said = _turns_or_text(record[answer], f"{where}, field {answer!r}", "assistant")
            return asked + said, frozenset({"prompt", answer, "rejected"})
    for given, answer in (("input", "output"), ("context", "response")):
        if "instruction" in record and answer in record:
            return _alpaca(record, given, answer, where), frozenset({"instruction", given, answer, "history"})
    raise DataError(
        f"{where}: fields {', '.join(sorted(map(str, record))) or 'none'} are no conversation. "
        "Needed: messages, or conversations, or prompt and completion, or prompt and chosen, or "
        "instruction and output. Rename the fields, or leave the file out."
    )


def _with_system(messages: list[Message], record: Mapping[str, object], where: str) -> list[Message]:
    """The messages under what the record's ``system`` and ``tools`` say."""
    texts = []
    if record.get("system") not in (None, ""):
        if messages[0]["role"] == "system":
            raise DataError(
                f"{where}, field 'system': there is a system message too. One of them is needed. Remove the other."
            )
        texts.append(_content(record["system"], f"{where}, field 'system'"))
    if messages[0]["role"] == "system":
        texts, messages = [messages[0]["content"]], messages[1:]
    for name in ("tools", "functions"):
        if record.get(name) not in (None, "") and not any(LISTED in text for text in texts):
            texts.append(list_of_tools(record[name], f"{where}, field {name!r}"))
    said = "\n\n".join(filter(None, texts))
    return [{"role": "system", "content": said}, *messages] if said else messages


def _sharegpt(value: object, place: str) -> list[Message]:
    first = value[0] if isinstance(value, list) and value else None
    return _turns(value, place, OPENAI if isinstance(first, Mapping) and "role" in first else SHAREGPT)


def _alpaca(record: Mapping[str, object], given: str, answer: str, where: str) -> list[Message]:
    """The input, if there is one, stands under the instruction, a blank line between."""
    messages = []
    history = record.get("history")
    if history is not None and not isinstance(history, list):
        raise DataError(f"{where}, field 'history': {_kind(history)}. A list of pairs is needed. Mend the row.")
    for number, pair in enumerate(history or (), start=1):
        place = f"{where}, field 'history', pair {number}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(f"{place}: {_kind(pair)}. A list of request and answer is needed. Mend the row.")
        messages += [_message(role, text, place) for role, text in zip(("user", "assistant"), pair, strict=True)]
    request = _content(record["instruction"], f"{where}, field 'instruction'")
    if record.get(given) not in (None, ""):
        request += "\n\n" + _content(record[given], f"{where}, field {given!r}")
    said = _message("assistant", record[answer], f"{where}, field {answer!r}")
    return [*messages, {"role": "user", "content": request}, said]


def _turns_or_text(value: object, place: str, role: str) -> list[Message]:
    return _turns(value, place, OPENAI) if isinstance(value, list) else [_message(role, value, place)]


def _turns(value: object, place: str, form: Form) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: {_kind(value)}. A list of at least one message is needed. Mend the row.")
    return [_turn(turn, f"{place}, message {number}", form) for number, turn in enumerate(value, start=1)]


def _turn(turn: object, here: str, form: Form) -> Message:
    calls = _calls(turn, here)
    if not isinstance(turn, Mapping) or form.role not in turn or (form.content not in turn and not calls):
        raise DataError(
            f"{here}: {_kind(turn)}. An object with {form.role!r} and {form.content!r} is needed. Mend the row."
        )
    role = form.roles.get(str(turn[form.role]))
    if role is None:
        raise DataError(f"{here}: role {turn[form.role]!r}. One of {', '.join(form.roles)} is needed. Mend the row.")
    if turn.get("weight") == 0:
        raise DataError(f"{here}: weight 0. Every answer is learned. Leave the row out, or remove the weight.")
    content, place = turn.get(form.content), f"{here}, field {form.content!r}"
    if turn[form.role] == CALL:
        return {"role": role, "content": calls_as_text(content, place)}
    if calls:
        if role != "assistant":
            raise DataError(f"{here}: calls of tools by the role {role!r}. Assistants alone call. Mend the row.")
        before = _text_of(content, place) if content else ""
        return {"role": role, "content": "\n".join(filter(None, (storable(before).strip(), calls)))}
    if role == "tool" and content == "":  # a tool may have nothing to say
        return {"role": role, "content": ""}
    return _message(role, content, place)


def _calls(turn: object, here: str) -> str:
    """The calls of tools that OpenAI's messages carry beside their content."""
    if isinstance(turn, Mapping):
        for name in ("tool_calls", CALL):
            if turn.get(name):
                return calls_as_text(turn[name], f"{here}, field {name!r}")
    return ""


def _message(role: str, value: object, place: str) -> Message:
    return {"role": role, "content": _content(value, place)}


def _content(value: object, place: str) -> str:
    text = _text_of(value, place)
    if not text.strip():
        raise DataError(f"{place}: empty. Some text is needed. Mend the row, or leave it out.")
    return storable(text)


def _text_of(value: object, place: str) -> str:
    """Text as it is; a list of parts of text one under the other."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: {_kind(value)}. Text is needed. Mend the row.")
    texts = []
    for number, part in enumerate(value, start=1):
        text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") == "text" else None
        if not isinstance(text, str):
            what = part.get("type") if isinstance(part, Mapping) else _kind(part)
            raise DataError(
                f"{place}, part {number}: {what!r}. Parts of type 'text' are needed. Leave the row out, or the part."
            )
        texts.append(text)
    return "\n".join(texts)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return f"an object with {', '.join(sorted(map(str, value))) or 'nothing'}"
    if isinstance(value, list) and not value:
        return "an empty list"
    return "null" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
