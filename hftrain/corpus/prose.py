"""A docstring's prose: code, doctests, markup and tables cut, wrapped lines joined.

Made for the conventions met in Python packages: reStructuredText (with NumPy's and Sphinx's
additions), Google style, and the Markdown of the Hugging Face libraries.
"""

import inspect
import re
from collections.abc import Iterator

KEPT_DIRECTIVES = frozenset(
    {"note", "warning", "tip", "important", "caution", "hint", "attention", "danger", "error", "admonition", "topic"}
)
"""Directives whose body is prose for a reader; every other one goes, body and all."""

WRAPPED_LINE_CHARS = 55
"""A line at least this long that another of its indentation follows was wrapped, not ended."""

FENCE = re.compile(r"\s*(```|~~~)")
DIRECTIVE = re.compile(r"(\s*)\.\. +([\w:+-]+?)::\s*(.*)$")
COMMENT = re.compile(r"(\s*)\.\.(\s|$)")
UNDERLINE = re.compile(r"\s*([-=~^\"'`#*+_])\1{2,}\s*$")
TABLE_ROW = re.compile(r"\s*(\|.*\||\+[-=+]+\+|[=-]{2,}(\s+[=-]{2,})+)\s*$")
CODE_LINE = re.compile(
    r"\s*(\$ \w|import \w[\w.]*( as \w+)?\s*$|from [\w.]+ import |@\w[\w.]*(\(.*)?$|def \w+\(|class \w+.*:$"
    r"|[A-Za-z_][\w.\[\]'\"]*(, \w+)* = \S|In \[|Out\[|#!|[})\]]+,?\s*$|\w[\w.]*\(.*\)\s*(#.*)?$)"
)
FIELD = re.compile(r"(\s*):(\w+)(?: +([^:]*?))?:(?:\s+(.*))?$")
EXAMPLE_HEADING = re.compile(
    r"\s*(Usage|References|See Also|Doctest|(Basic |More )?(Usage )?Examples?( usage| of usage)?):?\s*$",
    re.I,
)
LIST_ITEM = re.compile(r"\s*([-*+•] |\d+[.)] |\(\d+\) |\[\d+\] |\w[\w*, .\[\]]{0,40}( ?\(.{1,200}\))?\s?:( |$))")
BULLET = re.compile(r"\s*([-*+•]|\d+[.)]|\(\d+\)) +")

INLINE = (
    (re.compile(r"\[`~?([^`\]]+)`\](\([^)\s]*\))?"), r"`\1`"),
    (re.compile(r"!?\[([^\]\n]+)\]\([^)\s]*\)"), r"\1"),
    (re.compile(r":(?:\w+:)?\w+:`([^`<]+?)\s*<[^`>]*>`"), r"\1"),
    (re.compile(r":(?:\w+:)?\w+:`~(?:[\w.]*\.)?(\w+)`"), r"\1"),
    (re.compile(r":(?:\w+:)?\w+:`([^`]*)`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),
    (re.compile(r"``([^`]+)``"), r"`\1`"),
    (re.compile(r"</?(Tip|Deprecated|hfoptions?|Youtube)\b[^>]*>"), ""),
    (re.compile(r"\[\[autodoc\]\].*"), ""),
)


def prose(docstring: str) -> str:
    """The sentences of ``docstring`` for a reader; empty when it holds only code and markup."""
    lines = inspect.cleandoc(docstring.replace("\r\n", "\n")).split("\n")
    for marks, cut in CUTS:
        if any(mark in docstring for mark in marks):
            lines = list(cut(lines))
    text = "\n".join(_joined(lines))
    if any(mark in text for mark in "`[<"):
        for pattern, plain in INLINE:
            text = pattern.sub(plain, text)
    return re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text).strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _without_fences(lines: list[str]) -> Iterator[str]:
    inside: str | None = None
    for line in lines:
        fence = FENCE.match(line)
        if fence and inside is None and line.count(fence[1]) == 1:
            inside = fence[1]
        elif fence and fence[1] == inside:
            inside = None
        elif inside is None:
            yield line


def _without_doctests(lines: list[str]) -> Iterator[str]:
    """Cut each example from its prompt to the blank line that ends its output."""
    inside = False
    for line in lines:
        if line.lstrip().startswith(">>>"):
            inside = True
        elif not line.strip():
            inside = False
        if not inside:
            yield line


def _without_blocks(lines: list[str]) -> Iterator[str]:
    """Cut literal blocks (after ``::``), directives and comments with all that is indented below."""
    cut_above: int | None = None
    for line in lines:
        if cut_above is not None:
            if not line.strip() or _indent(line) > cut_above:
                continue
            cut_above = None
            yield ""
        directive = DIRECTIVE.match(line)
        if directive:
            if directive[2] not in KEPT_DIRECTIVES:
                cut_above = _indent(line)
            elif directive[3]:
                yield directive[1] + directive[3]
        elif COMMENT.match(line):
            cut_above = _indent(line)
        elif line.rstrip().endswith("::"):
            cut_above = _indent(line)
            if line.strip() != "::":
                yield line.rstrip()[:-1]
        else:
            yield line


def _without_code(lines: list[str]) -> Iterator[str]:
    """Cut what is left of code and tables; turn field lists into sentences."""
    for line in lines:
        if TABLE_ROW.match(line) or CODE_LINE.match(line):
            continue
        field = FIELD.match(line)
        yield _field_as_text(*field.groups(default="")) if field else line


def _field_as_text(indent: str, name: str, about: str, text: str) -> str:
    if name in ("type", "rtype", "vartype", "meta"):
        return ""
    subject = about.split(" ")[-1] if name.startswith(("param", "arg", "key", "attr", "var")) else ""
    label = subject or f"{name.capitalize()} {about}".strip()
    return f"{indent}{label}: {text}".rstrip()


def _without_empty_sections(lines: list[str]) -> Iterator[str]:
    """Cut underlines, and headings of examples under which nothing was left."""
    headings = {
        number - 1
        for number, line in enumerate(lines)
        if number and UNDERLINE.match(line) and lines[number - 1].strip()
    }
    kept = [(number in headings, line.rstrip()) for number, line in enumerate(lines) if not UNDERLINE.match(line)]
    following: tuple[bool, str] | None = None
    result: list[str] = []
    for is_heading, line in reversed(kept):
        if not line:
            result.append(line)
            continue
        empty = following is None or following[0] or (not is_heading and _indent(following[1]) <= _indent(line))
        if empty and EXAMPLE_HEADING.match(line):
            continue
        result.append(line)
        following = (is_heading, line)
    yield from reversed(result)


def _text_column(line: str) -> int:
    """Where the text of a bulleted line begins: its further lines are indented to there."""
    bullet = BULLET.match(line)
    return bullet.end() if bullet else _indent(line)


def _joined(lines: list[str]) -> Iterator[str]:
    """Join the lines of each wrapped paragraph; a list item or an early line end starts anew."""
    paragraph = ""
    is_wrapped = False
    for line in lines:
        goes_on = is_wrapped and _indent(line) in (_indent(paragraph), _text_column(paragraph))
        if line and goes_on and not LIST_ITEM.match(line):
            paragraph += " " + line.strip()
        else:
            yield paragraph
            paragraph = line
        is_wrapped = len(line) >= WRAPPED_LINE_CHARS and not line.endswith(":")
    yield paragraph


CUTS = (
    (("```", "~~~"), _without_fences),
    ((">>>",), _without_doctests),
    (("::", ".."), _without_blocks),
    (("\n",), _without_code),
    (("\n",), _without_empty_sections),
)
"""What each cut needs to see before it can change anything, and the cut; the order matters."""
