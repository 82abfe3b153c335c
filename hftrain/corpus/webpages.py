"""Web pages as text: HTML files, and the pages in WARC archives of the web.

trafilatura finds the text of a page among its menus, adverts and comments, in its fast way (its own rules, no second
opinion by other extractors: two to three times the speed) and with precision before recall.
Source: https://trafilatura.readthedocs.io, https://iipc.github.io/warc-specifications/
"""

import functools
import io
import logging
import re
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.encodings import decoded

LARGEST_PAGE_BYTES = 20_000_000
"""trafilatura reads no larger ones."""

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
PLAIN_TYPE = "text/plain"
CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
CHARSET_WITHIN_BYTES = 1024
"""Source: https://html.spec.whatwg.org/#determining-the-character-encoding"""

LATEST_DATE = "2199-12-31"
"""Where dates of pages are looked for; the default is today, and then the same page would not always read the same."""

DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, AssertionError)
"""What parsers raise on input that their authors did not foresee."""


def page_record(html: str, *, text_column: str, url: str | None = None) -> dict[str, object]:
    """The main text of a page, with what it says of itself: title, author, date, url, domain, license.

    Raises:
        UnreadableError: The page cannot be parsed.
    """
    trafilatura = _trafilatura()
    dates = {"original_date": True, "extensive_search": False, "max_date": LATEST_DATE}
    try:
        page = trafilatura.bare_extraction(
            html,
            url=url,
            fast=True,
            favor_precision=True,
            include_comments=False,
            deduplicate=False,
            with_metadata=True,
            date_extraction_params=dates,
        )
    except DAMAGED as error:
        raise UnreadableError(f"not HTML: {type(error).__name__} {error}") from error
    if page is None:
        return {text_column: ""}
    address = url or page.url
    return {
        text_column: page.text,
        "title": page.title,
        "author": page.author,
        "date": page.date,
        "url": address,
        "domain": domain_of(address),
        "license": page.license,
    }


def html_record(data: bytes, *, text_column: str, source: Source) -> dict[str, object]:
    """The main text of an HTML file.

    Raises:
        UnreadableError: It is too large, or cannot be decoded or parsed.
    """
    if len(data) > LARGEST_PAGE_BYTES:
        raise UnreadableError(f"more than {LARGEST_PAGE_BYTES:,} bytes of HTML as one page; cut it into several")
    text, source.encoding = decoded(data, declared=declared_charset(data))
    return page_record(text, text_column=text_column)


def warc_records(
    file: io.BufferedReader, *, text_column: str, source: Source
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the pages of a WARC file, each with its url, domain and date; one record is in memory at a time.

    Pages are what a server answered with status 200 as HTML or plain text; all else is counted as passed over.

    Raises:
        UnreadableError: The file is no WARC, or not to its end.
    """
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed
    from warcio.statusandheaders import StatusAndHeadersParserException

    number = 0
    watched = _Watched(file)
    archive = ArchiveIterator(watched)
    archive.INC_RECORD = ""  # what it writes to the terminal about a record of another length than it says
    try:
        for number, record in enumerate(archive, start=1):
            kind = _kind_of(record, source)
            if kind is None:
                continue
            try:
                page = _warc_page(record, kind, text_column)
            except (UnreadableError, zlib.error, ArchiveLoadFailed, *DAMAGED) as error:
                source.count_broken(f"record {number}: {error}")
                continue
            if page is None:
                source.pass_over(f"more than {LARGEST_PAGE_BYTES:,} bytes")
            else:
                yield number, page
        for _ in range(archive.err_count):
            source.count_broken("a record is longer or shorter than it says")
        if not watched.ending.replace(b"\r", b"").endswith(b"\n\n"):
            raise UnreadableError(f"ends within a record, after {number} records")
    except (ArchiveLoadFailed, StatusAndHeadersParserException, *DAMAGED) as error:
        raise UnreadableError(f"not WARC after record {number}: {_first_line(error)}") from error


def domain_of(url: str | None) -> str | None:
    """The host that an address names, in lower case, without ``www.``; None if it names none."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


def declared_charset(data: bytes) -> str | None:
    """The encoding that a page says it is in."""
    found = CHARSET.search(data[:CHARSET_WITHIN_BYTES])
    return _as_browsers_do(found[1].decode("ascii", "replace")) if found else None


class _Watched:
    """A file of which the last bytes read are known: warcio takes a file that was cut for one that ends."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.ending = b""

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read1(size)  # not read: before an error it would lose what it has
        except EOFError as error:  # warcio takes it for the end of a sound file
            raise UnreadableError(f"gzip stream is broken: {error}") from error
        self.ending = (self.ending + data)[-4:]
        return data


def _kind_of(record: Any, source: Source) -> str | None:
    """The content type of a record that is a page; None, and the reason counted, for any other."""
    if record.rec_type != "response":
        source.pass_over(f"{record.rec_type} record")
        return None
    headers = record.http_headers
    if headers is None:
        source.pass_over("response without HTTP headers")
        return None
    status = headers.get_statuscode()
    if status != "200":
        source.pass_over(f"HTTP status {status[:3]}")
        return None
    kind = (headers.get_header("Content-Type") or "none").partition(";")[0].strip().lower()
    if kind not in HTML_TYPES and kind != PLAIN_TYPE:
        source.pass_over(f"content type {kind[:60]}")
        return None
    return kind


def _warc_page(record: Any, kind: str, text_column: str) -> dict[str, object] | None:
    data = record.content_stream().read(LARGEST_PAGE_BYTES + 1)
    if len(data) > LARGEST_PAGE_BYTES:
        return None
    url = record.rec_headers.get_header("WARC-Target-URI")
    url = url.strip("<>") if url else None
    said = re.search(r"charset=[\"']?([\w.:-]+)", record.http_headers.get_header("Content-Type") or "", re.IGNORECASE)
    declared = _as_browsers_do(said[1]) if said else declared_charset(data)
    text, _ = decoded(_without_cut_character(data), declared=declared)
    if kind in HTML_TYPES:
        page = page_record(text, text_column=text_column, url=url)
    else:
        page = {text_column: text, "url": url, "domain": domain_of(url)}
    return page | {"warc_date": record.rec_headers.get_header("WARC-Date")}


def _without_cut_character(data: bytes) -> bytes:
    """Crawlers cut long pages anywhere; a beginning of a UTF-8 character at the very end is left out."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            return data[: error.start]
    return data


def _as_browsers_do(charset: str) -> str:
    """The encoding that a charset stands for: Latin-1 and ASCII for cp1252.

    Source: https://encoding.spec.whatwg.org/#names-and-labels
    """
    plain = charset.lower().replace("_", "-")
    return "cp1252" if plain in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii", "windows-1252") else charset


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@functools.cache
def _trafilatura() -> Any:
    import trafilatura

    for name in ("trafilatura", "htmldate", "courlan"):  # a page without text is counted, and is no warning
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return trafilatura
