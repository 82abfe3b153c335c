"""HTML built from parts: whatever is not markup is escaped, so that no text becomes a tag."""

import html
import re
from collections.abc import Iterable

# A language model may well emit these; a browser shows nothing for them. Tab and newline stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MANY_NEWLINES = re.compile(r"\n{4,}")
_EMPTY_TAGS = frozenset({"br", "meta", "hr"})


class Markup(str):
    """Text that is safe to place in a page as it stands."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def visible(text: str) -> str:
    """The text with control characters drawn as pictures (U+2400...), lone surrogates replaced."""
    drawn = _CONTROLS.sub(lambda found: "␡" if found[0] == "\x7f" else chr(0x2400 + ord(found[0])), text)
    return drawn.encode("utf-8", "replace").decode("utf-8")


def escape(content: object) -> Markup:
    """The content as markup: markup as it stands, anything else as text."""
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(visible(str(content)), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """The parts after each other, each escaped unless it is markup; None leaves nothing."""
    return Markup(escape(separator).join(escape(part) for part in parts if part is not None))


def tag(name: str, /, *contents: object, **attributes: object) -> Markup:
    """One element; a content or attribute that is None is left out.

    ``_`` in an attribute's name stands for ``-``, at its end for nothing (``class_``); the value
    ``True`` writes the name alone.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{escape(value)}"')
    head = f"<{name}{''.join(written)}>"
    if name in _EMPTY_TAGS:
        return Markup(head)
    return Markup(f"{head}{join(contents)}</{name}>")


def div(class_: str, *contents: object) -> Markup:
    """A block with a class."""
    return tag("div", *contents, class_=class_)


def span(class_: str, *contents: object) -> Markup:
    """A piece of a line with a class."""
    return tag("span", *contents, class_=class_)


def paragraph(*contents: object) -> Markup:
    """A sentence or two of prose."""
    return tag("p", *contents)


def note(*contents: object) -> Markup:
    """A small, quiet line."""
    return tag("p", *contents, class_="note")


def clip(text: object, limit_chars: int = 700) -> str:
    """The text, cut after ``limit_chars`` with the number of characters left out."""
    whole = text if isinstance(text, str) else "–"
    if len(whole) <= limit_chars:
        return whole
    return f"{whole[:limit_chars]} … (+{len(whole) - limit_chars:,} characters)"


def sample(text: object, limit_chars: int = 700) -> Markup:
    """A text of the corpus or of a model, shown as it is; of many empty lines, only their number."""
    shown = _MANY_NEWLINES.sub(lambda found: f"↵×{len(found[0])}\n", clip(text, limit_chars))
    return div("sample", shown if shown.strip() else span("quiet", "nothing" if not shown else "only spaces"))


def fold(summary: object, *contents: object, is_open: bool = False) -> Markup:
    """Contents that are shown on a click."""
    return tag("details", tag("summary", summary), *contents, open=is_open)


def table(columns: Iterable[object], rows: Iterable[Iterable[object]], *, numeric_from: int = 1) -> Markup:
    """A table that scrolls sideways if it must; columns from ``numeric_from`` on are set right."""

    def cell(name: str, index: int, content: object) -> Markup:
        return tag(name, content, class_="number" if index >= numeric_from else None)

    head = tag("tr", *(cell("th", index, name) for index, name in enumerate(columns)))
    body = [tag("tr", *(cell("td", index, content) for index, content in enumerate(row))) for row in rows]
    return div("wide", tag("table", tag("thead", head), tag("tbody", *body)))
