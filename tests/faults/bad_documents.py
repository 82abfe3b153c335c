# ruff: noqa: E501  (one case a line)
"""Documents that are broken, hostile or nothing: counted with their reason beside a good one, refused alone."""

import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness import Case

Content = bytes | str | Callable[[Path], object]
GOOD = "Once upon a time there was a cat who sat on a warm mat.\n"
COLLECT = ("--set", "collect.conversations=[]")


def _lay(folder: Path, name: str, content: Content) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _arrange(files: Mapping[str, Content], *, beside: bool) -> Callable[[Path], Sequence[str]]:
    def arrange(folder: Path) -> Sequence[str]:
        texts = folder / "texts"
        texts.mkdir()
        if beside:
            (texts / "good.txt").write_text(GOOD)
        for name, content in files.items():
            _lay(texts, name, content)
        return ["--set", f"collect.text=[{texts}]", *COLLECT]

    return arrange


def dropped(name: str, file: str, content: Content, *says: str, **counted: int) -> Case:
    """A bad file beside a good one: the good one is kept, the bad one is in the account."""
    kept = {"documents": 1} | counted
    return Case(name, _arrange({file: content}, beside=True), says, "collect", kept)


def refused(name: str, file: str, content: Content, *says: str) -> Case:
    """A bad file alone: there is nothing to go on with."""
    return Case(name, _arrange({file: content}, beside=False), says, "collect")


def _epub(**changes: bytes | None) -> bytes:
    """A book of one chapter; changes replace a part by name or, None, leave it out."""
    container = (
        b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        b'<rootfile full-path="book.opf"/></rootfiles></container>'
    )
    package = (
        b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" '
        b'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    chapter = b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>A chapter of a book.</p></body></html>'
    parts: dict[str, bytes | None] = {"META-INF/container.xml": container, "book.opf": package, "a.xhtml": chapter}
    names = {"container": "META-INF/container.xml", "package": "book.opf", "chapter": "a.xhtml"}
    parts |= {names[name]: data for name, data in changes.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            if data is not None:
                archive.writestr(name, data)
    return file.getvalue()


def _package_of(href: str) -> bytes:
    return (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="{href}" '
        'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    ).encode()


def _entity_bomb() -> bytes:
    entities = '<!ENTITY a "ha ha ha ha">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return f"<!DOCTYPE html [{entities}]><html><body><p>&i;</p></body></html>".encode()


def _external_entity(path: str) -> bytes:
    return f'<!DOCTYPE html [<!ENTITY x SYSTEM "file://{path}">]><html><body><p>&x;</p></body></html>'.encode()


def _zip_of_zeros() -> bytes:
    """A chapter that unpacks to a hundred times the limit of one text, in few bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_epub())) as whole, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("META-INF/container.xml", "book.opf"):
            archive.writestr(name, whole.read(name))
        with archive.open("a.xhtml", "w", force_zip64=True) as chapter:
            for _ in range(65):
                chapter.write(b" " * 1_000_000)
    return file.getvalue()


def _lying_size() -> bytes:
    """A zip whose directory tells another size than its member has."""
    data = bytearray(_epub())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 5)
    return bytes(data)


def _gzip_bomb(path: Path) -> None:
    """70 MB of one letter, as one document: more than a text may have."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(70):
            file.write(b"a" * 1_000_000)


def _long_line(path: Path) -> None:
    """A line that is longer than a row may be, and a good one after it."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(65):
            file.write(b"[" * 1_000_000)
        file.write(b'\n{"text": "the row after it"}\n')


def _linked(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def _zstd(data: bytes, cut: int | None = None) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)[:cut]


def _row(**values: object) -> str:
    return json.dumps(values) + "\n"


DEEP = "[" * 100_000 + "]" * 100_000
SECRET = "/etc/passwd"

CASES = [
    # nothing, or not what it is called
    refused("a folder of one empty file", "a.txt", "", "0 documents", "empty"),
    refused("a folder of one blank file", "a.txt", "  \n\t\n", "0 documents"),
    refused("rows without a text", "a.jsonl", _row(body="x"), "no field 'text'", "text_column"),
    refused("rows whose text is a number", "a.jsonl", _row(text=5), "field 'text'", "int"),
    refused("rows whose text is a list", "a.jsonl", _row(text=["a"]), "field 'text'", "list"),
    refused("rows that are lists", "a.jsonl", "[1]\n", "0 documents", "not an object"),
    refused("lines that are not JSON", "a.jsonl", "hello\nworld\n", "0 documents", "not JSON"),
    refused("a table of one column too few", "a.csv", "title\nx\n", "no field 'text'"),
    refused("a parquet file that is text", "a.parquet", "hello", "0 documents", "parquet"),
    refused("a book that is no zip", "a.epub", b"PK\x03\x04 nothing", "0 documents", "EPUB"),
    refused("a PDF that is none", "a.pdf", b"%PDF-1.4 nothing", "0 documents", "a.pdf"),
    refused("a web archive that is none", "a.warc", "hello\n", "0 documents", "a.warc"),
    refused("a gzip that is none", "a.txt.gz", "hello", "0 documents", "gzip"),
    refused("a zstd that is none", "a.txt.zst", "hello", "0 documents", "zstd"),
    dropped("an empty file", "bad.txt", b"", "0 bytes", unreadable_sources=1),
    dropped("a blank file", "bad.txt", b" \n", empty_rows=1),
    dropped("an empty table", "bad.jsonl", b"", "0 bytes", unreadable_sources=1),
    dropped("an empty CSV", "bad.csv", b"", "0 bytes", unreadable_sources=1),
    dropped("an empty gzip", "bad.txt.gz", gzip.compress(b""), "0 bytes", unreadable_sources=1),
    dropped("an empty PDF", "bad.pdf", b"", unreadable_sources=1),
    dropped("an empty book", "bad.epub", b"", unreadable_sources=1),
    dropped("an empty parquet", "bad.parquet", b"", "parquet", unreadable_sources=1),
    # bytes that are no text
    dropped("a program", "bad.txt", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, unreadable_sources=1),
    dropped("a picture called text", "bad.md", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, unreadable_sources=1),
    dropped("zeros", "bad.txt", bytes(10_000), unreadable_sources=1),
    dropped("random bytes called a page", "bad.html", b"\x80\x00\xff" * 1000, unreadable_sources=1),
    dropped("rows in UTF-16 without a mark", "bad.jsonl", _row(text="hello").encode("utf-16-le"), broken_rows=2),
    dropped("a row that is Latin-1", "bad.jsonl", b'{"text": "caf\xe9"}\n', "not JSON", broken_rows=1),
    # rows
    dropped("a row cut in the middle", "bad.jsonl", b'{"text": "a cat', "line 1", broken_rows=1),
    dropped("a row nested a hundred thousand deep", "bad.jsonl", '{"text": ' + DEEP + "}\n", broken_rows=1),
    dropped("a row with more digits than a number has", "bad.jsonl", '{"text": "x", "n": ' + "9" * 5000 + "}", broken_rows=1),
    dropped("a line longer than a row may be", "bad.jsonl.gz", _long_line, "longer than", documents=2, broken_rows=1),
    dropped("a null text", "bad.jsonl", _row(text=None), empty_rows=1),
    dropped("an empty text", "bad.jsonl", _row(text=""), empty_rows=1),
    dropped("CSV with a quote left open", "bad.csv", 'text\n"a cat\n', "CSV", unreadable_sources=1),
    dropped("CSV with a row too long", "bad.csv", "text,b\nx,1,2\n", "another number of fields", broken_rows=1),
    dropped("CSV with a NUL", "bad.csv", b"text\na\x00b\n"),
    dropped("CSV of a header alone", "bad.csv", "text\n"),
    dropped("a parquet cut in the middle", "bad.parquet", b"PAR1" + bytes(100) + b"PAR1", "parquet", unreadable_sources=1),
    # archives
    dropped("a gzip cut in the middle", "bad.txt.gz", gzip.compress(GOOD.encode() * 500)[:-20], "gzip", unreadable_sources=1),
    dropped("a gzip with a wrong checksum", "bad.txt.gz", gzip.compress(b"abc")[:-8] + bytes(8), "gzip", unreadable_sources=1),
    dropped("a gzip with rubbish after it", "bad.txt.gz", gzip.compress(b"abc") + b"rubbish", "gzip", unreadable_sources=1),
    dropped("a gzip that unpacks to 70 MB", "bad.txt.gz", _gzip_bomb, "bytes of text", unreadable_sources=1),
    dropped("a zstd cut in the middle", "bad.txt.zst", _zstd(GOOD.encode() * 500, cut=-9), "zstd", unreadable_sources=1),
    dropped("plain deflate called gzip", "bad.txt.gz", zlib.compress(b"abc"), "gzip", unreadable_sources=1),
    # books
    dropped("a book without its container", "bad.epub", _epub(container=None), "EPUB", unreadable_sources=1),
    dropped("a book whose container is no XML", "bad.epub", _epub(container=b"<a"), unreadable_sources=1),
    dropped("a book whose container names nothing", "bad.epub", _epub(container=b"<a/>"), unreadable_sources=1),
    dropped("a book without its package", "bad.epub", _epub(package=None), unreadable_sources=1),
    dropped("a book without its chapter", "bad.epub", _epub(chapter=None), broken_rows=1),
    dropped("a book cut in the middle", "bad.epub", _epub()[:200], unreadable_sources=1),
    dropped("a book whose chapter climbs out", "bad.epub", _epub(package=_package_of("../../../../etc/passwd")), broken_rows=1),
    dropped("a book whose chapter is an absolute path", "bad.epub", _epub(package=_package_of(SECRET)), broken_rows=1),
    dropped("a book whose chapter is an address", "bad.epub", _epub(package=_package_of("http://localhost:1/x")), broken_rows=1),
    dropped("a book whose chapter unpacks to 65 MB", "bad.epub", _zip_of_zeros(), broken_rows=1),
    dropped("a book that lies about a size", "bad.epub", _lying_size(), broken_rows=1),
    dropped("a book with a bomb of entities", "bad.epub", _epub(chapter=_entity_bomb()), documents=2),  # the names of the entities stand for themselves
    dropped("a book that asks for a file", "bad.epub", _epub(chapter=_external_entity(SECRET)), documents=2),
    dropped("a book whose package asks for a file", "bad.epub", _epub(package=_external_entity(SECRET)), documents=1),
    # pages
    dropped("a page of one tag", "bad.html", "<html>", documents=1),
    dropped("a page of scripts alone", "bad.html", "<script>alert(1)</script>", documents=1),
    dropped("a page nested fifty thousand deep", "bad.html", "<div>" * 50_000 + "deep" + "</div>" * 50_000),
    dropped("a page with a NUL", "bad.html", b"<html><body><p>a\x00b</p></body></html>"),
    dropped("a page with an encoding that is none", "bad.html", b'<meta charset="klingon"><p>nuqneH</p>', documents=2),
    dropped("a PDF cut in the middle", "bad.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\n", unreadable_sources=1),
    dropped("a PDF whose pages are themselves", "bad.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
            b"2 0 obj<</Type/Pages/Kids[2 0 R]/Count 1>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF", unreadable_sources=1),
    dropped("subtitles of one line", "bad.srt", "1\n"),
    dropped("a web archive cut in a header", "bad.warc", "WARC/1.0\r\nWARC-Type: resp", unreadable_sources=1),
    dropped("a web archive that lies about a length", "bad.warc", "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x>\r\n"
            "WARC-Date: 2020-01-01T00:00:00Z\r\nContent-Length: 99999999999\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"),
    # the tree
    dropped("a link out of the tree", "bad.txt", _linked("/etc/passwd")),
    dropped("a link to a folder out of the tree", "bad", _linked("/etc")),
    dropped("a link to its own folder", "bad", _linked(".")),
    dropped("a link to itself", "bad.txt", lambda path: path.symlink_to(path)),
    dropped("a link to nothing", "bad.txt", _linked("nowhere.txt")),
    dropped("a folder called text", "bad.txt", lambda path: path.mkdir()),
    dropped("a pipe called text", "bad.txt", os.mkfifo),
    dropped("a hidden file", ".bad.txt", "Hidden words of the machine's owner."),
    dropped("a hidden folder", ".git/bad.txt", "Hidden words of the machine's owner."),
    dropped("a file that is not read", "bad.docx", b"PK\x03\x04"),
]  # fmt: skip


def _alone(*words: str) -> Callable[[Path], Sequence[str]]:
    def arrange(folder: Path) -> Sequence[str]:
        (folder / "good.txt").write_text(GOOD)
        (folder / "tree").mkdir()
        (folder / "tree" / "cat.py").write_text("cats = 3\n")
        return [word.replace("FOLDER", str(folder)) for word in words]

    return arrange


CASES += [
    Case("an encoded path to nowhere", _alone("--set", "collect.text=['FOLDER/good%2etxt']"), ("does not exist",), "collect"),
    Case("a path with a NUL", _alone("--set", 'collect.text=["FOLDER/a\\0b"]'), ("collect.text",), "collect"),
    Case("a path that is too long", _alone("--set", f"collect.text=['{'n' * 5000}']"), ("collect.text",), "collect"),
    Case("a run folder below a file", _alone("--set", "collect.text=[FOLDER/good.txt]", *COLLECT, "--run-dir", "FOLDER/good.txt/run"),
         ("good.txt",), "collect"),
    Case("a run folder that is a file", _alone("--set", "collect.text=[FOLDER/good.txt]", *COLLECT, "--run-dir", "FOLDER/good.txt"),
         ("good.txt",), "collect"),
    Case("a run folder in /proc", _alone("--set", "collect.text=[FOLDER/good.txt]", *COLLECT, "--run-dir", "/proc/run"),
         ("/proc",), "collect"),
    Case("a run folder with a name too long", _alone("--set", "collect.text=[FOLDER/good.txt]", *COLLECT, "--run-dir", "FOLDER/" + "n" * 300),
         ("nnn",), "collect"),
    Case("an empty tree of code", _alone("--set", "collect.text=['code:FOLDER/tree?rust']", *COLLECT), ("no source code",), "collect"),
]  # fmt: skip
