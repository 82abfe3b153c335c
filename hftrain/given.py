"""What the user wrote: YAML and ``--set`` overrides as plain values, each with its place.

Scalars are read by YAML 1.2's core schema: ``1e-3`` is a number, ``yes`` and ``2024-01-01`` are
text, only ``true`` and ``false`` are booleans. Source: https://yaml.org/spec/1.2.2/#103-core-schema.
Departures, so that no text turns into another value unseen: ``007`` stays text (a revision may
start with zeros), as do ``0x1F`` and ``0o17``; ``.nan`` and ``.inf``, anchors' aliases and tags are
refused.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hftrain.errors import ConfigError
from hftrain.upstream import suggest

Keys = tuple[str, ...]
Place = tuple[int, str]
"""Line number (overrides come after all lines), and how the place is said."""

WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")  # longer ones would overflow a float
NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
AFTER_ALL_LINES = 1 << 40
LARGEST_FILE_BYTES = 10_000_000
MOST_TOLD = 30
"""Problems that are shown; the others are counted."""

REFUSED = object()
"""Stands for a value whose problem is told already: whatever holds it leaves it out."""


class Exponent(float):
    """A number written with an exponent, as ``2e5``: it may stand for a whole number."""


@dataclass
class Given:
    """Plain values, where each was written, and every problem met so far."""

    title: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, Place] = field(default_factory=dict)
    problems: list[tuple[Place, str]] = field(default_factory=list)

    def tell(self, keys: Keys, what: str) -> None:
        """Note a problem at the place where these keys, or the nearest above them, were written."""
        self.tell_at(self.place(keys), f"{dotted(keys)}: {what}" if keys else what)

    def tell_at(self, place: Place, what: str) -> None:
        """Note a problem at a known place."""
        self.problems.append((place, what))

    def place(self, keys: Keys) -> Place:
        """Where these keys, or the nearest above them, were written."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.places:
                return self.places[keys[:length]]
        return 0, ""

    def raise_problems(self) -> None:
        """Tell all problems at once, in the order of the file.

        Raises:
            ConfigError: There is at least one.
        """
        if not self.problems:
            return
        told = [where + what for (_, where), what in sorted(self.problems, key=lambda p: p[0][0])]
        count = "1 problem" if len(told) == 1 else f"{len(told)} problems"
        more = [f"and {len(told) - MOST_TOLD:,} more"] if len(told) > MOST_TOLD else []
        raise ConfigError("\n  ".join([f"{self.title}: {count}.", *told[:MOST_TOLD], *more]))


def dotted(keys: Keys) -> str:
    """Keys as people write them: ``pretrain.rules[0].name``."""
    return ".".join(keys).replace(".[", "[")


def scalar(text: str) -> Any:
    """The value of an unquoted YAML scalar; infinite where no finite number can hold it."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return Exponent(text) if "e" in text.lower() else float(text)
    return math.inf if NOT_FINITE.fullmatch(text) else text


def read(path: Path | None) -> Given:
    """Read a file, or nothing; what is wrong inside it is noted, not raised.

    Raises:
        ConfigError: There is no such file, or no text in it.
    """
    given = Given(path.as_posix() if path else "configuration")
    if path is not None:
        _read_file(given, path)
    return given


def lay_over(given: Given, overrides: Sequence[str]) -> None:
    """Lay ``section.key=value`` overrides over what was read; the last one of a key wins."""
    for rank, override in enumerate(overrides, start=AFTER_ALL_LINES):
        _apply(given, override, rank)


class _Loader(yaml.SafeLoader):
    """Composes nodes whose tag says how they are written: plain, quoted, map, seq, alias, other."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return "plain" if implicit[0] else "quoted"
        return "map" if kind is yaml.MappingNode else "seq"

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            return yaml.ScalarNode("alias", event.anchor, event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


def _read_file(given: Given, path: Path) -> None:
    try:
        text = _text_of(path)
    except FileNotFoundError:
        near = suggest(path.name, (each.name for each in path.parent.glob("*.y*ml")))
        meant = f" Did you mean {(path.parent / near).as_posix()}?" if near else ""
        raise ConfigError(f"{path.as_posix()}: no such file. A configuration in YAML is needed.{meant}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path.as_posix()}: cannot be read: {error}. A configuration in YAML is needed, "
            "in UTF-8. Give the path of a readable file."
        ) from None
    node = _compose(given, text, None)
    if node is None:
        return
    value = _value(given, node, (), None)
    if isinstance(value, dict):
        given.values = value
    elif value is not None and value is not REFUSED:
        given.tell_at(
            _on_line(node.start_mark.line + 1),
            "the file is not a mapping. Sections with their keys are needed. Write for example seed: 1.",
        )


def _text_of(path: Path) -> str:
    """A file's text; no more of it is read than a configuration may have."""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE_BYTES + 1)
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(
            f"{path.as_posix()}: more than {LARGEST_FILE_BYTES:,} bytes. A configuration in YAML is needed. Name one."
        )
    return data.decode("utf-8")


def _on_line(line: int) -> Place:
    return line, f"line {line}: "


def _compose(given: Given, text: str, place: Place | None) -> yaml.Node | None:
    """Parse YAML text, a file's or (with its place) an override's; None if it is not YAML."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = ", ".join(filter(None, [error.context, error.problem]))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character {chr(error.character)!r} is not allowed"
    except RecursionError:
        line, what = 1, "nested too deeply"
    given.tell_at(
        place or _on_line(line),
        f"not YAML: {what}. Well-formed YAML is needed. Look at the indentation, brackets, quotes "
        "and colons up to here.",
    )
    return None


def _value(given: Given, node: yaml.Node, keys: Keys, place: Place | None) -> Any:
    """The plain value of a node, or REFUSED. ``place`` overrules the line it stands on."""
    given.places.setdefault(keys, place or _on_line(node.start_mark.line + 1))
    if isinstance(node, yaml.MappingNode) and node.tag == "map":
        return _mapping(given, node, keys, place)
    if isinstance(node, yaml.SequenceNode) and node.tag == "seq":
        items = enumerate(node.value)
        values = [_value(given, item, (*keys, f"[{index}]"), place) for index, item in items]
        return [each for each in values if each is not REFUSED]
    if node.tag == "quoted":
        return node.value
    if node.tag == "plain":
        value = scalar(node.value)
        if isinstance(value, float) and not math.isfinite(value):
            given.tell(keys, f"{node.value} is not finite. A finite number is needed.")
            return REFUSED
        return value
    if node.tag == "alias":
        given.tell(keys, f"*{node.value} is an alias. Plain values are needed. Write it out.")
    else:
        given.tell(keys, f"the tag {node.tag} is not read. Plain values are needed. Remove it.")
    return REFUSED


def _mapping(given: Given, node: yaml.MappingNode, keys: Keys, place: Place | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, child in node.value:
        line = key.start_mark.line + 1
        here = place or _on_line(line)
        if key.tag not in {"plain", "quoted"} or not key.value or key.value == "<<":
            above = dotted(keys) + ": " if keys else ""
            shown = key.value if isinstance(key.value, str) else "a list or mapping"
            given.tell_at(here, f"{above}{shown!r} cannot be a key. A plain name is needed.")
            continue
        inner = (*keys, key.value)
        if key.value in found:
            what = f"written twice; first on line {lines[key.value]}. One value is needed. Keep one."
            given.tell_at(here, f"{dotted(inner)}: {what}")
            continue
        given.places[inner] = here
        lines[key.value] = line
        found[key.value] = _value(given, child, inner, place)
    return {name: each for name, each in found.items() if each is not REFUSED}


def _apply(given: Given, override: str, rank: int) -> None:
    """Lay one ``section.key=value`` over the values."""
    place = (rank, "--set ")
    name, equals, text = override.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        given.tell_at(place, f"{override!r} has no key and value. Write --set section.key=value.")
        return
    if not text.strip():
        what = f"{dotted(keys)}: no value. Write null for not set, or '\"\"' for an empty text."
        given.tell_at(place, what)
        return
    node = _compose(given, text, (rank, f"--set {dotted(keys)}: "))
    if node is None:
        return
    parent: Any = given.values
    for depth, key in enumerate(keys[:-1], start=1):
        if parent.get(key) is None:
            parent[key] = {}
        parent = parent[key]
        if not isinstance(parent, dict):
            what = f"{dotted(keys[:depth])} is {parent!r}, which has no keys. Set it as a whole."
            given.tell_at(place, f"{dotted(keys)}: {what}")
            return
    for old in [each for each in given.places if each[: len(keys)] == keys]:
        del given.places[old]
    for depth in range(1, len(keys)):
        given.places.setdefault(keys[:depth], place)
    given.places[keys] = place
    value = _value(given, node, keys, place)
    if value is not REFUSED:
        parent[keys[-1]] = value
