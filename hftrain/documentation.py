"""What the configuration's dataclasses say of themselves: each field with its type, default and docstring.

The text under a field is no part of the running class; it is read from the source. The page of the configuration is
made of this, so that it says what the code says. Imports nothing heavy.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hftrain.config import resolved

KIND_NAMES: Mapping[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Any: "any value",
    NoneType: "null",
}
"""What a type is called where people write its values in YAML."""


@dataclass(frozen=True)
class Setting:
    """One key of the configuration."""

    keys: tuple[str, ...]
    """Where it stands, such as ``("curate", "duplicates", "near_jaccard")``."""

    kind: str
    """What may be written there, in words."""

    default: Any
    """As plain YAML values; MISSING where one must be written."""

    text: str
    """Its docstring, in one line."""

    upstream: str | None = None
    """``package.module:Class`` whose arguments stand under it, where it passes them through."""

    owned: tuple[str, ...] = ()
    """Those of them that the stage sets itself."""

    @property
    def name(self) -> str:
        """As people write it: ``curate.duplicates.near_jaccard``."""
        return ".".join(self.keys)


def settings_of(kind: type[Any], keys: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting of a configuration's dataclass, nested ones after the field that holds them.

    Args:
        kind: A dataclass, or the class of a whole flow.
        keys: Where it stands in the file.
    """
    hints, texts = get_type_hints(kind), field_texts(kind)
    upstream = getattr(kind, "UPSTREAM", {})
    for each in fields(kind):
        if not each.init:
            continue
        hint, inner = hints[each.name], (*keys, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        nested = _dataclass_in(hint)
        yield Setting(
            keys=inner,
            kind=described_kind(hint),
            default=MISSING if default is MISSING else resolved(default),
            text=texts.get(each.name) or (class_text(nested) if nested else ""),
            upstream=upstream.get(each.name),
            owned=tuple(sorted(getattr(kind, "OWNED", {}).get(each.name, ()))),
        )
        if nested is not None:
            yield from settings_of(nested, (*keys, each.name + _between(hint)))


def described_kind(hint: Any) -> str:
    """A type in words, for those who write YAML: ``whole number or null``, ``list of text``."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(described_kind(each) for each in inside)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inside)
    if origin in (list, tuple):
        return f"list of {described_kind(inside[0])}"
    if origin is not None and issubclass(origin, Mapping):
        values = described_kind(inside[1])
        return "mapping" if values == KIND_NAMES[Any] else f"mapping to {values}"
    if is_dataclass(hint):
        return "section"
    return KIND_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def class_text(kind: type[Any]) -> str:
    """A class's own docstring, in one line; empty where it has none."""
    own = vars(kind).get("__doc__") or ""
    return "" if own.startswith(f"{kind.__name__}(") else _one_line(own)


def field_texts(kind: type[Any]) -> dict[str, str]:
    """Field -> the docstring under it, of the class and of those that it extends; the nearest one counts."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            found |= _own_texts(each)
    return found


@cache
def _own_texts(kind: type[Any]) -> dict[str, str]:
    declared = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        value = below.value if isinstance(below, ast.Expr) else None
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, str):
            found[field.target.id] = _one_line(text)
    return found


def _one_line(text: str) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))


def _dataclass_in(hint: Any) -> type[Any] | None:
    """The dataclass that is written at a place: itself, an item of its list, or a value of its mapping."""
    if is_dataclass(hint) and isinstance(hint, type):
        return hint
    return next((found for each in get_args(hint) if (found := _dataclass_in(each)) is not None), None)


def _between(hint: Any) -> str:
    """What stands between a field's name and those of the dataclass in it."""
    origin = get_origin(hint)
    if origin in (list, tuple):
        return "[]"
    return ".NAME" if isinstance(origin, type) and issubclass(origin, Mapping) else ""


__all__ = ["Setting", "class_text", "described_kind", "field_texts", "settings_of"]
