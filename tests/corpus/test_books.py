import io
import zipfile
from pathlib import Path

import pytest

from hftrain.corpus import books
from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.readers import records_in

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""

PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Fables</dc:title><dc:creator>Aesop</dc:creator>
<dc:creator>Ann Lee</dc:creator><dc:language>en</dc:language>
<dc:rights>See https://creativecommons.org/publicdomain/zero/1.0/ for this.</dc:rights></metadata>
<manifest><item id="toc" href="toc.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="text/fox%20two.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/fox.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="p.svg" media-type="image/svg+xml"/>
<item id="x" href="../../../etc/passwd" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="toc"/><itemref idref="a"/><itemref idref="p"/><itemref idref="b"/>EXTRA</spine></package>"""

ONE = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://x.org/x.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><style>p {}</style></head><body>
<h2>I<br/>The <i>Fox</i></h2>
<p>A hungry&nbsp;fox saw
  some   grapes.<!-- no --> He <b>jumped</b>.</p><p>In vain.</p>
<blockquote><p>Sour,<br/>he said.</p></blockquote><ul><li>one</li><li>two</li></ul>
<pre>a
  b</pre></body></html>"""

TWO = "<html><head><title>x</title></head><body><p>Not &amp; well <b>formed.<p>At all.</body>"


def book(path: Path, *, extra: str = "", **changed: str | bytes) -> Path:
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE.replace("EXTRA", extra),
        "OPS/text/fox.xhtml": ONE,
        "OPS/text/fox two.xhtml": TWO,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (files | changed).items():
            archive.writestr(name, data)
    return path


def read(path: Path) -> tuple[list[dict[str, object]], Source]:
    source = Source(path.name, "documents")
    return [dict(record) for _, record in records_in(path, text_column="text", source=source)], source


def test_a_book_gives_its_chapters_in_order_each_with_the_book(tmp_path: Path) -> None:
    chapters, source = read(book(tmp_path / "fables.epub"))

    about = {
        "title": "Fables",
        "author": "Aesop; Ann Lee",
        "language": "en",
        "rights": "See https://creativecommons.org/publicdomain/zero/1.0/ for this.",
        "license": "CC0-1.0",
    }
    text = (
        "I\nThe Fox\n\nA hungry\xa0fox saw some grapes. He jumped.\n\nIn vain.\n\nSour,\nhe said.\n\none\ntwo\n\na\n  b"
    )
    assert chapters == [
        {"text": text, "chapter": "I The Fox", **about},
        {"text": "Not & well formed.\n\nAt all.", "chapter": None, **about},
    ]
    assert dict(source.passed_over) == {"table of contents": 1, "spine item that is no XHTML": 1}
    assert (source.broken, source.unreadable) == (0, None)


def test_a_chapter_outside_the_zip_is_not_read(tmp_path: Path) -> None:
    chapters, source = read(book(tmp_path / "fables.epub", extra='<itemref idref="x"/>'))
    assert len(chapters) == 2
    assert (source.broken, source.unreadable) == (1, "chapter ../../etc/passwd: not EPUB: no ../../etc/passwd in it")


def test_a_chapter_that_unpacks_without_end_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "LARGEST_TEXT_BYTES", 10_000)
    chapters, source = read(book(tmp_path / "fables.epub", **{"OPS/text/fox.xhtml": bytes(50_000_000)}))
    assert len(chapters) == 1 and "more than 10,000 bytes unpacked" in str(source.unreadable)


def test_entities_that_name_files_or_each_other_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the key")
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 5))
    tricks = {
        "OPS/text/fox.xhtml": f'<!DOCTYPE html [<!ENTITY key SYSTEM "{secret.as_uri()}">]><p>Once &key; upon.</p>',
        "OPS/text/fox two.xhtml": f'<!DOCTYPE html [<!ENTITY e0 "haha">{lines}]><p>Once &e4; upon.</p>',
    }
    chapters, _ = read(book(tmp_path / "fables.epub", **tricks))
    assert [len(str(chapter["text"])) < 30 for chapter in chapters] == [True, True]
    assert all("Once" in str(chapter["text"]) and "the key" not in str(chapter["text"]) for chapter in chapters)
    assert all("haha" not in str(chapter["text"]) for chapter in chapters)


def test_an_encrypted_book_says_so(tmp_path: Path) -> None:
    listed = "".join(f'<CipherReference URI="OPS/text/{name}.xhtml"/>' for name in ("fox", "fox%20two"))
    encryption = f'<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">{listed}</encryption>'
    with pytest.raises(UnreadableError, match="encrypted"):
        read(book(tmp_path / "fables.epub", **{"META-INF/encryption.xml": encryption}))


def test_rights_that_are_no_known_licence_are_kept_as_they_are_said(tmp_path: Path) -> None:
    said = PACKAGE.replace(
        "See https://creativecommons.org/publicdomain/zero/1.0/ for this.", "Ann Lee keeps all rights."
    )
    chapters, _ = read(book(tmp_path / "fables.epub", **{"OPS/book.opf": said.replace("EXTRA", "")}))
    assert chapters[0]["license"] == "Ann Lee keeps all rights."


def test_a_zip_with_one_damaged_chapter_gives_the_others(tmp_path: Path) -> None:
    path = book(tmp_path / "fables.epub")
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        begins = archive.getinfo("OPS/text/fox.xhtml").header_offset + 60
    path.write_bytes(data[:begins] + bytes(20) + data[begins + 20 :])
    chapters, source = read(path)
    assert [chapter["text"] for chapter in chapters] == ["Not & well formed.\n\nAt all."]
    assert source.broken == 1 and "chapter OPS/text/fox.xhtml" in str(source.unreadable)
