"""The shapes in which conversations are published, read into one list of messages.

- ``{"messages": [{"role", "content"}, ...]}``: OpenAI, TRL
- ``{"conversations": [{"from", "value"}, ...]}``: ShareGPT
- ``{"instruction", "input", "output"}``: Alpaca
- ``{"prompt", "completion"}``: TRL; texts or lists of messages
- ``{"prompt", "chosen", "rejected"}``: preferences; the chosen answer is used
"""

from collections.abc import Mapping

from hftrain.corpus.records import Row, conversation_id, origin, storable
from hftrain.errors import DataError

ROLES = ("system", "user", "assistant")

SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}

Message = dict[str, str]


def conversation_row(record: Mapping[str, object], *, where: str, source: str, license: str | None) -> Row:
    """Make a conversation of a record.

    Raises:
        DataError: The record has none of the shapes above, a role is not one of ``ROLES``, a
            content is not text or is empty, or no assistant speaks.
    """
    messages, used = _read(record, where)
    if not any(message["role"] == "assistant" for message in messages):
        raise DataError(
            f"{where}: no message of an assistant. There is nothing to learn from. "
            "Add the answer, or leave the row out."
        )
    return {
        "id": conversation_id(messages),
        "messages": messages,
        **origin(record, source=source, license=license, used=used),
    }


def _read(record: Mapping[str, object], where: str) -> tuple[list[Message], frozenset[str]]:
    """The messages, and the fields they came from."""
    if "messages" in record:
        turns = _turns(record["messages"], f"{where}, field 'messages'", "role", "content", None)
        return turns, frozenset({"messages"})
    if "conversations" in record:
        return _sharegpt(record["conversations"], where), frozenset({"conversations"})
    for answer in ("completion", "chosen"):
        if "prompt" in record and answer in record:
            asked = _turns_or_text(record["prompt"], f"{where}, field 'prompt'", "user")
            said = _turns_or_text(record[answer], f"{where}, field {answer!r}", "assistant")
            return asked + said, frozenset({"prompt", answer, "rejected"})
    if "instruction" in record and "output" in record:
        return _alpaca(record, where), frozenset({"instruction", "input", "output"})
    raise DataError(
        f"{where}: fields {', '.join(sorted(map(str, record))) or 'none'} are no conversation. "
        "Needed: messages, or conversations, or prompt and completion, or prompt and chosen, or "
        "instruction and output. Rename the fields, or leave the file out."
    )


def _sharegpt(value: object, where: str) -> list[Message]:
    place = f"{where}, field 'conversations'"
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, Mapping) and "role" in first:
        return _turns(value, place, "role", "content", None)
    return _turns(value, place, "from", "value", SHAREGPT_ROLES)


def _alpaca(record: Mapping[str, object], where: str) -> list[Message]:
    """The input, if there is one, stands under the instruction, a blank line between."""
    request = _content(record["instruction"], f"{where}, field 'instruction'")
    given = record.get("input")
    if given not in (None, ""):
        request += "\n\n" + _content(given, f"{where}, field 'input'")
    answer = _content(record["output"], f"{where}, field 'output'")
    return [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]


def _turns_or_text(value: object, place: str, role: str) -> list[Message]:
    if isinstance(value, list):
        return _turns(value, place, "role", "content", None)
    return [{"role": role, "content": _content(value, place)}]


def _turns(
    value: object, place: str, role_key: str, content_key: str, roles: Mapping[str, str] | None
) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: {_kind(value)}. A list of at least one message is needed. Mend the row.")
    messages = []
    for number, turn in enumerate(value, start=1):
        here = f"{place}, message {number}"
        if not isinstance(turn, Mapping) or role_key not in turn or content_key not in turn:
            raise DataError(
                f"{here}: {_kind(turn)}. An object with {role_key!r} and {content_key!r} is needed. Mend the row."
            )
        said_role = turn[role_key]
        role = roles.get(str(said_role)) if roles else said_role
        if role not in ROLES:
            known = ", ".join(roles or ROLES)
            raise DataError(f"{here}: role {said_role!r}. One of {known} is needed. Mend the row.")
        content = _content(turn[content_key], f"{here}, field {content_key!r}")
        messages.append({"role": str(role), "content": content})
    return messages


def _content(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {_kind(value)}. Text is needed. Mend the row.")
    if not value.strip():
        raise DataError(f"{place}: empty. Some text is needed. Mend the row, or leave it out.")
    return storable(value)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return f"an object with {', '.join(sorted(map(str, value))) or 'nothing'}"
    if isinstance(value, list) and not value:
        return "an empty list"
    return "null" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
