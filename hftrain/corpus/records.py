"""From a record of some source to a row of raw/: text, identity, origin, licence, the rest."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from hftrain.errors import DataError

Row = dict[str, object]
"""A row as ``storage`` keeps it: all columns of DOCUMENT_FEATURES or CONVERSATION_FEATURES."""

UNKNOWN_LICENSE = "unknown"
ID_HEX_CHARS = 20

JSON_STRING = json.encoder.encode_basestring
ORIGIN_FIELDS = ("source", "license")
PLAIN_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False).encode


def parsed(text: str) -> object:
    """A value of JSON. An object that says a key twice says two things, and is none.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return EACH_KEY_ONCE.decode(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):  # Python's own reader would take the last
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in an object")
    return found


EACH_KEY_ONCE = json.JSONDecoder(object_pairs_hook=_once)


def document_id(text: str) -> str:
    """The identity of a document: 20 hex digits of SHA-256 over its UTF-8 bytes.

    It does not depend on where the text stands or what stands beside it, so adding or moving
    files never changes the id of another document, and equal texts share one.
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:ID_HEX_CHARS]


def conversation_id(messages: Sequence[Mapping[str, str]]) -> str:
    """The identity of a conversation: the same digest over its roles and contents in order."""
    turns = [[message["role"], message["content"]] for message in messages]
    return document_id(json.dumps(turns, ensure_ascii=False, separators=(",", ":")))


def document_row(
    record: Mapping[str, object], *, number: int, source: str, text_column: str, license: str | None
) -> Row | None:
    """Make a document of a record; None if its text is empty.

    Args:
        record: A JSON object, a table row, or a file's text under ``text_column``.
        number: Which row of the source it is, from 1; errors name it.
        source: Where it stands; the row says so too, if the record names no ``source``.
        text_column: The record's field that holds the text.
        license: Used where the record names no ``license``.

    Raises:
        DataError: The record has no text column, or something else than text in it.
    """
    text = record.get(text_column)
    if not isinstance(text, str):
        if text_column in record and text is None:
            return None
        raise DataError(_no_text(record, f"{source}, row {number}", text_column))
    if not text or text.isspace():
        return None
    data, text = _storable_with_bytes(text)
    return {
        "id": hashlib.sha256(data).hexdigest()[:ID_HEX_CHARS],
        "text": text,
        **origin(record, source=source, license=license, used=(text_column,)),
    }


def origin(record: Mapping[str, object], *, source: str, license: str | None, used: Collection[str]) -> dict[str, str]:
    """The columns ``source``, ``license`` and ``meta``: all that the record says beside ``used``."""
    rest = {
        name: value
        for name, value in record.items()
        if value is not None and name not in used and name not in ORIGIN_FIELDS
    }
    return {
        "source": _stated(record, "source") or source,
        "license": _stated(record, "license") or license or UNKNOWN_LICENSE,
        "meta": json_text(rest) if rest else "{}",
    }


def json_text(value: Mapping[str, object]) -> str:
    """A JSON object as text, keys sorted; what JSON has no form for is written as its ``str``."""
    try:
        text = _flat_json(value) or PLAIN_JSON(value)
    except (TypeError, ValueError):  # a value that JSON has no form for: seldom, and slower
        text = PLAIN_JSON({str(key): _plain(item) for key, item in value.items()})
    return text if text.isascii() else storable(text)


def _flat_json(value: Mapping[str, object]) -> str | None:
    """The same for strings and whole numbers alone, as most are, without building an encoder for each: four times
    as fast. None if there is anything else.
    """
    parts = []
    for name in sorted(value):
        item = value[name]
        if type(item) is str:
            parts.append(f"{JSON_STRING(name)}: {JSON_STRING(item)}")
        elif type(item) is int:
            parts.append(f"{JSON_STRING(name)}: {item}")
        else:
            return None
    return "{" + ", ".join(parts) + "}"


def storable(text: str) -> str:
    """The same text, with lone surrogates (which UTF-8 cannot hold) as U+FFFD.

    JSON writes characters outside the basic plane as two halves; one half alone is no character.
    """
    return _storable_with_bytes(text)[1]


def _storable_with_bytes(text: str) -> tuple[bytes, str]:
    try:
        return text.encode(), text
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.encode(), text


def _stated(record: Mapping[str, object], name: str) -> str | None:
    value = record.get(name)
    return storable(value.strip()) if isinstance(value, str) and value.strip() else None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _no_text(record: Mapping[str, object], where: str, text_column: str) -> str:
    if text_column not in record:
        return (
            f"{where}: no field {text_column!r}, only {_names(record)}. Each row needs its text "
            "there. Set collect.text_column to the field that holds it."
        )
    return (
        f"{where}: field {text_column!r} holds {_shown(record[text_column])}. Text is needed. "
        "Set collect.text_column to a field of text, or mend the row."
    )


def _names(record: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(str, record))) or "nothing"


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
