"""EPUB books as text: one document a chapter, in the order of reading.

A book is a zip of XHTML files with a package document that names them. Files are read by name out of the zip, each up
to a limit; nothing is unpacked to disk. Source: https://www.w3.org/TR/epub-33/
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import html5
from typing import Any, BinaryIO
from urllib.parse import unquote

from lxml import etree

from hftrain.corpus.accounts import LARGEST_TEXT_BYTES, Source, UnreadableError
from hftrain.corpus.encodings import decoded
from hftrain.corpus.license_texts import spdx_of
from hftrain.corpus.webpages import declared_charset

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
CHAPTER_TYPES = frozenset({"application/xhtml+xml", "text/html"})
LONGEST_LICENSE_CHARS = 200

NAMED_CHARACTER = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([a-zA-Z][a-zA-Z0-9]*;)")
XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")

BREAKS = re.compile(" ?[\u2028\u2029][ \u2028\u2029]*")
PARAGRAPH_END, LINE_END, KEPT_SPACE = "\u2029", "\u2028", "\ue000"
"""Marks put into a page before its own line ends are made blanks."""

PARAGRAPHS = [
    "{*}p", "{*}div", "{*}section", "{*}article", "{*}header", "{*}footer", "{*}main", "{*}aside", "{*}figure",
    "{*}blockquote", "{*}ul", "{*}ol", "{*}dl", "{*}table", "{*}pre", "{*}hr", "{*}h1", "{*}h2", "{*}h3", "{*}h4",
    "{*}h5", "{*}h6",
]  # fmt: skip
LINES = [f"{{*}}{name}" for name in ["li", "dt", "dd", "tr", "br", "figcaption", "caption"]]
CELLS = ["{*}td", "{*}th"]
LEFT_OUT = [f"{{*}}{name}" for name in ["head", "script", "style", "template", "nav", "svg", "math"]]
HEADINGS = [f"{{*}}h{level}" for level in range(1, 7)]

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
)
"""What ``zipfile`` raises on damaged archives; RuntimeError for one with a password."""


@dataclass
class Book:
    """What the package document says."""

    about: dict[str, object]
    chapters: list[str]
    """Names in the zip, in the order of reading."""


def book_records(file: BinaryIO, *, text_column: str, source: Source) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the chapters of a book, each with the book's title, author, language, rights and licence.

    Raises:
        UnreadableError: It is no EPUB, or all of it is encrypted.
    """
    try:
        archive = zipfile.ZipFile(file)
        book = _book_of(archive, source)
        encrypted = _encrypted_names(archive)
    except DAMAGED as error:
        raise UnreadableError(f"not EPUB: {error}") from error
    with archive:
        if book.chapters and encrypted.issuperset(book.chapters):
            raise UnreadableError("encrypted: none of its chapters can be read without a key")
        for number, name in enumerate(book.chapters, start=1):
            if name in encrypted:
                source.pass_over("encrypted chapter")
                continue
            try:
                chapter = _chapter_of(archive, name, source)
            except (UnreadableError, etree.LxmlError, *DAMAGED) as error:
                source.count_broken(f"chapter {name[:100]}: {error}")
                continue
            heading = _first_heading(chapter)
            yield number, {text_column: text_of(chapter), **book.about, "chapter": heading}


def text_of(root: Any) -> str:
    """The text of a parsed page: blank lines between paragraphs, no layout. The tree is used up."""
    etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, *LEFT_OUT, with_tail=False)
    for element in root.iter("{*}pre"):
        for part in element.iter():
            part.text = _kept_as_it_is(part.text)
            part.tail = _kept_as_it_is(part.tail) if part is not element else part.tail
    for mark, tags in ((PARAGRAPH_END, PARAGRAPHS), (LINE_END, LINES), (" ", CELLS)):
        for element in root.iter(*tags):
            element.text = mark + (element.text or "")
            element.tail = mark + (element.tail or "")
    text = "".join(root.itertext())
    for blank in "\n\r\t\f":
        text = text.replace(blank, " ")
    while "  " in text:  # far quicker than a pattern
        text = text.replace("  ", " ")
    text = BREAKS.sub(lambda found: "\n\n" if PARAGRAPH_END in found[0] else "\n", text)
    return text.replace(KEPT_SPACE, " ").strip()


def _kept_as_it_is(text: str | None) -> str | None:
    return text.replace("\n", LINE_END).replace(" ", KEPT_SPACE) if text else text


def _book_of(archive: zipfile.ZipFile, source: Source) -> Book:
    container = _xml(_read(archive, CONTAINER))
    path = next((root.get("full-path") for root in _named(container, "rootfile") if root.get("full-path")), None)
    if path is None:
        raise UnreadableError(f"not EPUB: {CONTAINER} names no package document")
    package = _xml(_read(archive, path))
    items = {item.get("id"): item for item in _named(package, "item")}
    chapters = []
    for reference in _named(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in CHAPTER_TYPES:
            source.pass_over("spine item that is no XHTML")
        elif "nav" in (item.get("properties") or "").split():
            source.pass_over("table of contents")
        else:
            href = unquote((item.get("href") or "").partition("#")[0])
            chapters.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), href)))
    return Book(_about(package), chapters)


def _about(package: Any) -> dict[str, object]:
    def told(name: str) -> str | None:
        found = (" ".join("".join(each.itertext()).split()) for each in _named(package, name))
        return "; ".join(filter(None, found)) or None

    rights = told("rights")
    license = (spdx_of(rights) or rights[:LONGEST_LICENSE_CHARS]) if rights else None
    return {
        "title": told("title"),
        "author": told("creator"),
        "language": told("language"),
        "rights": rights,
        "license": license,
    }


def _encrypted_names(archive: zipfile.ZipFile) -> set[str]:
    if ENCRYPTION not in archive.namelist():
        return set()
    listed = _named(_xml(_read(archive, ENCRYPTION)), "CipherReference")
    return {unquote(each.get("URI") or "") for each in listed}


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            data = file.read(LARGEST_TEXT_BYTES + 1)
    except KeyError:
        raise UnreadableError(f"not EPUB: no {name[:100]} in it") from None
    if len(data) > LARGEST_TEXT_BYTES:
        raise UnreadableError(f"more than {LARGEST_TEXT_BYTES:,} bytes unpacked")
    return data


def _chapter_of(archive: zipfile.ZipFile, name: str, source: Source) -> Any:
    data = _read(archive, name)
    text, source.encoding = decoded(data, declared=declared_charset(data))
    plain = XML_DECLARATION.sub("", NAMED_CHARACTER.sub(_character, text), count=1)
    try:
        return _xml(plain.encode("utf-8"))
    except UnreadableError:
        page = etree.fromstring(plain.encode("utf-8"), etree.HTMLParser(encoding="utf-8"))
        if page is None:
            raise UnreadableError("no elements in it") from None
        return page


def _character(found: re.Match[str]) -> str:
    return html5.get(found[1], found[0])


def _xml(data: bytes) -> Any:
    """Parse XML without looking anything up: no entities, no network, no deep or huge trees."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"not XML: {error}") from error


def _named(root: Any, name: str) -> list[Any]:
    return [element for element in root.iter() if _local_name(element) == name]


def _local_name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _first_heading(root: Any) -> str | None:
    heading = next(root.iter(*HEADINGS), None)
    return " ".join(" ".join(heading.itertext()).split()) or None if heading is not None else None
