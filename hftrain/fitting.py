"""Fitting plain values to the types that a dataclass declares.

``1`` fits a float; ``2e5`` fits a whole number, ``2.0`` does not; ``true`` is never a number, and
text is never anything else. What does not fit is noted beside everything else that is wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hftrain.errors import ConfigError
from hftrain.given import Exponent, Given, Keys, dotted, scalar
from hftrain.upstream import fields_of, simple_type, suggest

LISTS = (list, tuple, Sequence)
MAPPINGS = (dict, Mapping)
NOUNS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    NoneType: "null",
}
EXAMPLES: dict[Any, str] = {
    bool: "true",
    int: "100",
    float: "1e-3",
    str: "some text",
    Path: "folder/name",
}
YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Fitter:
    """Builds dataclasses from what was given, noting each value that does not fit."""

    def __init__(self, given: Given) -> None:
        """Problems go to ``given``; nothing is raised for them here."""
        self.given = given

    def instance(self, kind: type[Any], values: Mapping[str, Any], keys: Keys, default: Any) -> Any:
        """``default`` (or the dataclass's own defaults) with the values' departures."""
        hints = get_type_hints(kind)
        upstream = getattr(kind, "UPSTREAM", {})
        declared = {each.name: each for each in fields(kind) if each.init}
        problems_before = len(self.given.problems)
        for name in filter(lambda each: each not in declared, values):
            self.given.tell((*keys, name), _unknown_key(name, kind, declared))
        changed = {}
        for name, each in declared.items():
            inner = (*keys, name)
            before = _default_of(each) if default is None else getattr(default, name)
            if name not in values and before is MISSING:
                self.given.tell(inner, f"is missing. {_needed(hints[name], name, None)}")
                continue
            fitted = before
            if name in values:
                fitted = self.fit(hints[name], values[name], inner, before)
            elif is_dataclass(before):
                fitted = self.instance(type(before), {}, inner, before)
            if name in upstream and isinstance(fitted, Mapping):
                written = {**fitted, **(values.get(name) or {})}
                owned = getattr(kind, "OWNED", {}).get(name, frozenset())
                fitted = self.arguments(upstream[name], written, inner, owned, declared)
            changed[name] = fitted
        if len(self.given.problems) > problems_before:
            return default
        return replace(default, **changed) if default is not None else kind(**changed)

    def arguments(
        self,
        target: str,
        values: Mapping[str, Any],
        keys: Keys,
        owned: Collection[str],
        siblings: Collection[str],
    ) -> dict[str, Any]:
        """Arguments of an upstream class, each of a name and a type that it declares.

        ``owned`` are those the stage sets itself, ``siblings`` the section's own field names.
        """
        try:
            known = fields_of(target)
        except ConfigError as error:
            if keys in self.given.places:  # what nobody wrote is refused by the stage that needs it, not by every flow
                self.given.tell(keys, str(error))
            return dict(values)
        title = target.partition(".")[0] + "." + target.rpartition(":")[2]
        fitted = {}
        for name, value in values.items():
            inner, sibling = (*keys, name), dotted((*keys[:-1], name))
            if name in owned:
                instead = f"Set {sibling} instead." if name in siblings else "Remove it."
                self.given.tell(inner, f"is set by hftrain itself. {instead}")
            elif name not in known:
                near = sibling if name in siblings else suggest(name, known.keys() - owned)
                meant = f"; did you mean {near}?" if near else "."
                what = f"{title} has no such argument{meant} Its argument names are needed."
                self.given.tell(inner, f"{what} Correct or remove it.")
            else:
                fitted[name] = self.fit(simple_type(known[name]), value, inner)
        return fitted

    def fit(self, kind: Any, value: Any, keys: Keys, default: Any = None, asked: Any = None) -> Any:
        """The value as ``kind``, which may be a part of the whole annotation ``asked``."""
        asked = asked or kind
        origin = get_origin(kind) or kind
        if kind is Any:
            return _plain(value)
        if origin in (Union, UnionType):
            return self.one_of(kind, value, keys, default)
        if is_dataclass(kind) or origin in MAPPINGS:
            return self.mapping(kind, {} if value is None else value, keys, default, asked)
        if origin in LISTS:
            return self.sequence(kind, value, keys, asked)
        fitted = _scalar_as(kind, value)
        return self.wrong(asked, value, keys) if fitted is MISSING else fitted

    def one_of(self, kind: Any, value: Any, keys: Keys, default: Any) -> Any:
        """The value as the first alternative that it fits; the type it has comes before others."""
        alternatives = [each for each in get_args(kind) if each is not NoneType]
        if value is None and NoneType in get_args(kind):
            return None
        if len(alternatives) == 1:
            return self.fit(alternatives[0], value, keys, default, asked=kind)
        problems_before = len(self.given.problems)
        alternatives.sort(key=lambda each: not _has_type(value, each))
        for each in alternatives:
            fitted = self.fit(each, value, keys, default, asked=kind)
            if len(self.given.problems) == problems_before:
                return fitted
            del self.given.problems[problems_before:]
        if isinstance(value, dict | list) and _has_type(value, alternatives[0]):
            return self.fit(alternatives[0], value, keys, default, asked=kind)  # tells what is inside
        return self.wrong(kind, value, keys)

    def mapping(self, kind: Any, value: Any, keys: Keys, default: Any, asked: Any) -> Any:
        """A nested dataclass, or a mapping laid over its default."""
        if not isinstance(value, dict):
            return self.wrong(asked, value, keys)
        if is_dataclass(kind):
            inner = default if is_dataclass(default) else None
            return self.instance(cast(type[Any], kind), value, keys, inner)
        name_kind, item = get_args(kind) or (str, Any)
        if name_kind is not str:
            raise TypeError(f"a configuration cannot hold {kind!r}: keys are text")
        fitted = {name: self.fit(item, each, (*keys, name)) for name, each in value.items()}
        return {**default, **fitted} if isinstance(default, Mapping) else fitted

    def sequence(self, kind: Any, value: Any, keys: Keys, asked: Any) -> Any:
        """A list, or a tuple of one type or of a fixed length."""
        inside = get_args(kind)
        is_fixed = get_origin(kind) is tuple and Ellipsis not in inside
        if not isinstance(value, list) or (is_fixed and len(inside) != len(value)):
            return self.wrong(asked, value, keys)
        kinds = inside if is_fixed else [inside[0] if inside else Any] * len(value)
        fitted = [
            self.fit(each, item, (*keys, f"[{index}]"))
            for index, (each, item) in enumerate(zip(kinds, value, strict=True))
        ]
        return fitted if (get_origin(kind) or kind) is list else tuple(fitted)

    def wrong(self, kind: Any, value: Any, keys: Keys) -> None:
        """Note that a value is not what is needed."""
        name = next((key for key in reversed(keys) if not key.startswith("[")), "")
        self.given.tell(keys, f"{_shown(value)}. {_needed(kind, name, value)}")


def _default_of(declared: Field[Any]) -> Any:
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return declared.default


def _scalar_as(kind: Any, value: Any) -> Any:
    """The value as a scalar type, or MISSING where it does not fit."""
    if get_origin(kind) is Literal:
        same = [each for each in get_args(kind) if each == value and type(each) is type(value)]
        return same[0] if same else MISSING
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, Exponent) and value.is_integer():
        return int(value)
    if kind is Path:
        return Path(value) if isinstance(value, str) and value else MISSING
    if kind not in NOUNS:
        raise TypeError(f"a configuration cannot hold a field of type {kind!r}")
    return value if type(value) is kind else MISSING


def _has_type(value: Any, kind: Any) -> bool:
    """Whether YAML gave the value as this type, with nothing to convert."""
    origin = get_origin(kind) or kind
    if is_dataclass(kind) or origin in MAPPINGS:
        return isinstance(value, dict)
    if origin in LISTS:
        return isinstance(value, list)
    if origin is Literal:
        return _scalar_as(kind, value) is not MISSING
    return isinstance(value, float) if kind is float else type(value) is kind


def _plain(value: Any) -> Any:
    """The value free of our own types."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, float) else value


def _unknown_key(name: str, kind: type[Any], declared: Mapping[str, Any]) -> str:
    """What to say of a key that a dataclass does not have."""
    near = suggest(name, declared)
    for field_name, target in getattr(kind, "UPSTREAM", {}).items():
        with suppress(ConfigError):  # told where the field itself is checked
            near = f"{field_name}.{name}" if name in fields_of(target) else near
    meant = f"; did you mean {near}?" if near else "."
    return f"unknown key{meant} Known keys: {', '.join(declared)}."


def _shown(value: Any) -> str:
    """A value as a clause, cut where it is long."""
    if value is None:
        return "null stands for not set"
    if isinstance(value, bool):
        return f"{str(value).lower()} is a boolean"
    if isinstance(value, int):
        return f"{value} is a whole number"
    if isinstance(value, float):
        return f"{float(value)!r} is a number"
    if isinstance(value, str):
        return f"{value if len(value) <= 60 else value[:57] + '...'!r} is text"
    return f"a {'list' if isinstance(value, list) else 'mapping'} with {len(value)} entries is given"


def _alternatives(kind: Any) -> list[Any]:
    """The alternatives of a union, or the type alone; an int beside a float goes without saying."""
    kinds = list(get_args(kind)) if get_origin(kind) in (Union, UnionType) else [kind]
    return [each for each in kinds if each is not int or float not in kinds]


def _noun(kind: Any) -> str:
    origin = get_origin(kind) or kind
    if origin is Literal:
        return "one of " + ", ".join(_written(each) for each in get_args(kind))
    if origin in LISTS:
        inside = [each for each in get_args(kind) if each is not Ellipsis]
        is_fixed = origin is tuple and inside and Ellipsis not in get_args(kind)
        return f"a list of {len(inside)}" if is_fixed else "a list"
    return NOUNS.get(kind, "a mapping of names to values")


def _needed(kind: Any, name: str, value: Any) -> str:
    """What is needed instead, and what to do."""
    kinds = _alternatives(kind)
    needed = " or ".join(_noun(each) for each in kinds)
    return f"{needed[0].upper()}{needed[1:]} is needed. {_advice(kinds, name, value)}"


def _advice(kinds: list[Any], name: str, value: Any) -> str:
    """What to write instead of a value that does not fit."""
    if isinstance(value, str):
        if bool in kinds and value.lower() in YAML_1_1_BOOLEANS:
            return f"Write {name}: {YAML_1_1_BOOLEANS[value.lower()]}."
        bare = value.replace("_", "").replace(",", "").replace(" ", "")
        if {int, float}.intersection(kinds) and isinstance(scalar(bare), int | float):
            return f"Write {name}: {bare}."
    if isinstance(value, float) and int in kinds and value.is_integer():
        return f"Write {name}: {int(value)}."
    if isinstance(value, bool | int | float) and str in kinds:
        return "Put it in quotes."
    offered = [_written(each) for kind in kinds if get_origin(kind) is Literal for each in get_args(kind)]
    if offered:
        near = suggest(str(value), offered) or offered[0]
        return f"Write for example {name}: {near}."
    return f"Write for example {name}: {_example(kinds[0])}."


def _example(kind: Any) -> str:
    if (get_origin(kind) or kind) in LISTS:
        inside = (*get_args(kind), str)[0]
        return f"[{_example(inside)}]"
    return EXAMPLES.get(kind, "{name: value}")


def _written(value: Any) -> str:
    """A constant as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
