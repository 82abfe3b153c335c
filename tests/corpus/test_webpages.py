import gzip
import time
from pathlib import Path

import pytest

from hftrain.corpus import webpages
from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.readers import records_in

ARTICLE = """<html lang="en"><head><title>The Fox and the Grapes</title><meta name="author" content="Ann Lee">
<meta property="article:published_time" content="2019-05-01"><link rel="canonical" href="https://www.tales.org/fox">
</head><body><nav><a href="/">Home</a> <a href="/about">About us</a></nav><article><h1>The Fox and the Grapes</h1>
<p>A hungry fox saw some fine bunches of grapes hanging from a vine that was trained along a high trellis.</p>
<p>He did his best to reach them by jumping as high as he could into the air. — But it was all in vain.</p>
</article><div id="comments"><p>First! What a nice story this was, thank you very much for it.</p></div>
<footer>Copyright 2019. All rights reserved. Subscribe to our newsletter</footer></body></html>"""


def test_a_page_is_its_main_text_and_what_it_says_of_itself() -> None:
    page = webpages.page_record(ARTICLE, text_column="text")
    text = str(page.pop("text"))
    assert "high trellis.\nHe did his best" in text
    assert "Home" not in text and "First!" not in text and "newsletter" not in text
    assert page == {
        "title": "The Fox and the Grapes",
        "author": "Ann Lee",
        "date": "2019-05-01",
        "url": "https://www.tales.org/fox",
        "domain": "tales.org",
        "license": None,
    }


def test_a_page_reads_the_same_on_every_day_and_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    page = ARTICLE.replace("2019-05-01", "2031-05-01")
    once = webpages.page_record(page, text_column="text")
    assert once["date"] == "2031-05-01"  # a date to come, today
    assert all(webpages.page_record(page, text_column="text") == once for _ in range(4))


@pytest.mark.parametrize("html", ["", " ", "\0", "<", "<html></html>", "just words", "<p>" * 5000])
def test_what_is_hardly_a_page_gives_text_or_none(html: str) -> None:
    assert isinstance(webpages.page_record(html, text_column="text")["text"], str)


def test_a_page_is_decoded_as_it_declares(tmp_path: Path) -> None:
    page = ARTICLE.replace("<head>", '<head><meta charset="iso-8859-2">').replace("— But", "Zażółć gęślą; but")
    (tmp_path / "fox.html").write_bytes(page.encode("iso-8859-2"))
    source = Source("fox.html", "documents")
    ((_, record),) = records_in(tmp_path / "fox.html", text_column="text", source=source)
    assert "Zażółć gęślą" in str(record["text"]) and source.encoding == "iso-8859-2"


@pytest.mark.parametrize(
    ("url", "domain"),
    [("https://WWW.Tales.org:80/x", "tales.org"), ("tales", None), (None, None), ("http://[bad", None)],
)
def test_a_domain_is_the_host_of_an_address(url: str | None, domain: str | None) -> None:
    assert webpages.domain_of(url) == domain


def warc_record(kind: str, url: str, block: bytes) -> bytes:
    about = f"WARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2020-01-02T03:04:05Z\r\n"
    return f"WARC/1.0\r\n{about}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def answer(url: str, status: str, content_type: str, body: bytes) -> bytes:
    headers = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return warc_record("response", url, headers.encode() + body)


def crawl(*, compressed: bool = False) -> bytes:
    """A WARC file of three pages, a broken one, and four records of other kinds."""
    plain = "Größe ist schön, und über alles andere hinaus.".encode("latin-1")
    records = [
        warc_record("warcinfo", "crawl", b"software: none\r\n"),
        warc_record("request", "http://tales.org/", b"GET / HTTP/1.1\r\nHost: tales.org\r\n\r\n"),
        answer("http://www.tales.org/fox", "200 OK", "text/html; charset=utf-8", ARTICLE.encode()),
        answer("http://tales.org/gone", "404 Not Found", "text/html", ARTICLE.encode()),
        answer("http://tales.org/fox.png", "200 OK", "image/png", b"\x89PNG\0"),
        answer("http://tales.org/plain", "200 OK", "text/plain; charset=ISO-8859-1", plain),
        answer("http://tales.org/binary", "200 OK", "text/plain", b"no\0text"),
        answer("http://tales.org/cut", "200 OK", "text/plain", "Größe ß".encode()[:-1]),
    ]
    return b"".join(map(gzip.compress, records) if compressed else records)


@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz"])
def test_a_crawl_gives_its_pages_and_counts_the_rest(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(crawl(compressed=name.endswith(".gz")))
    source = Source(name, "documents")

    pages = [record for _, record in records_in(tmp_path / name, text_column="text", source=source)]

    urls = ["http://www.tales.org/fox", "http://tales.org/plain", "http://tales.org/cut"]
    assert [page["url"] for page in pages] == urls
    assert "trellis" in str(pages[0]["text"]) and pages[1]["text"] == "Größe ist schön, und über alles andere hinaus."
    assert pages[2]["text"] == "Größe "
    assert {page["domain"] for page in pages} == {"tales.org"}
    assert pages[0]["warc_date"] == "2020-01-02T03:04:05Z"
    others = {"warcinfo record": 1, "request record": 1, "HTTP status 404": 1, "content type image/png": 1}
    assert dict(source.passed_over) == others
    assert (source.broken, source.unreadable) == (1, "record 7: not text: a NUL byte at byte 2")


@pytest.mark.parametrize("missing_bytes", [3, 30, 300])
@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz"])
def test_a_crawl_that_was_cut_says_so_after_what_it_has(tmp_path: Path, name: str, missing_bytes: int) -> None:
    (tmp_path / name).write_bytes(crawl(compressed=name.endswith(".gz"))[:-missing_bytes])
    records = records_in(tmp_path / name, text_column="text", source=Source(name, "documents"))
    assert next(records)[1]["url"] == "http://www.tales.org/fox"
    with pytest.raises(UnreadableError, match="ends within a record|gzip stream is broken"):
        list(records)


def test_a_record_of_another_length_than_it_says_is_counted_and_said_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = crawl().replace(b"Content-Length: 16\r\n", b"Content-Length: 9\r\n", 1)
    (tmp_path / "crawl.warc").write_bytes(data)
    source = Source("crawl.warc", "documents")
    assert len(list(records_in(tmp_path / "crawl.warc", text_column="text", source=source))) == 3
    assert source.broken == 2  # and the one with a NUL byte
    assert capsys.readouterr().err == ""


def test_a_page_too_large_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webpages, "LARGEST_PAGE_BYTES", 100)
    (tmp_path / "crawl.warc.gz").write_bytes(gzip.compress(crawl()))
    source = Source("crawl", "documents")
    pages = list(records_in(tmp_path / "crawl.warc.gz", text_column="text", source=source))
    assert len(pages) == 2 and source.passed_over["more than 100 bytes"] == 1
    (tmp_path / "fox.html").write_text(ARTICLE)
    with pytest.raises(UnreadableError, match="more than 100 bytes of HTML"):
        list(records_in(tmp_path / "fox.html", text_column="text", source=source))


def test_a_page_made_to_be_slow_is_not() -> None:
    began = time.monotonic()
    webpages.page_record("<div><p>word</p>" * 3000 + "<a href=x>" * 3000, text_column="text")
    assert time.monotonic() - began < 20
