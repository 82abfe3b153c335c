"""From a record of some source to a row of raw/: text, identity, origin, licence, the rest."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence

from hftrain.errors import DataError

Row = dict[str, object]
"""A row as ``storage`` keeps it: all columns of DOCUMENT_FEATURES or CONVERSATION_FEATURES."""

UNKNOWN_LICENSE = "unknown"
ID_HEX_CHARS = 20

SURROGATE = re.compile("[\ud800-\udfff]")


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
    record: Mapping[str, object], *, where: str, source: str, text_column: str, license: str | None
) -> Row | None:
    """Make a document of a record; None if its text is empty.

    Args:
        record: A JSON object, a table row, or a file's text under ``text_column``.
        where: Names the record in errors, such as ``tales.jsonl, row 3``.
        source: Used where the record names no ``source``.
        text_column: The record's field that holds the text.
        license: Used where the record names no ``license``.

    Raises:
        DataError: The record has no text column, or something else than text in it.
    """
    if text_column not in record:
        raise DataError(
            f"{where}: no field {text_column!r}, only {_names(record)}. Each row needs its text "
            "there. Set collect.text_column to the field that holds it."
        )
    text = record[text_column]
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    if not isinstance(text, str):
        raise DataError(
            f"{where}: field {text_column!r} holds {_shown(text)}. Text is needed. "
            "Set collect.text_column to a field of text, or mend the row."
        )
    text = storable(text)
    return {
        "id": document_id(text),
        "text": text,
        **origin(record, source=source, license=license, used=frozenset({text_column})),
    }


def origin(record: Mapping[str, object], *, source: str, license: str | None, used: frozenset[str]) -> dict[str, str]:
    """The columns ``source``, ``license`` and ``meta``: all that the record says beside ``used``."""
    rest = {
        name: value
        for name, value in record.items()
        if name not in used and name not in ("source", "license") and value is not None
    }
    return {
        "source": _stated(record, "source") or source,
        "license": _stated(record, "license") or license or UNKNOWN_LICENSE,
        "meta": json_text(rest),
    }


def json_text(value: Mapping[str, object]) -> str:
    """A JSON object as text, keys sorted; what JSON has no form for is written as its ``str``."""
    plain = {str(key): _plain(item) for key, item in value.items()}
    return storable(json.dumps(plain, ensure_ascii=False, sort_keys=True))


def storable(text: str) -> str:
    """The same text, with lone surrogates (which UTF-8 cannot hold) as U+FFFD.

    JSON writes characters outside the basic plane as two halves; one half alone is no character.
    """
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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


def _names(record: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(str, record))) or "nothing"


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
