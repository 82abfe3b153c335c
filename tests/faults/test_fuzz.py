"""The readers on files that were whole and are damaged at random, from a seed, for a stated number of tries."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest
from bad_documents import GOOD, _epub

from hftrain.corpus.accounts import Source
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.places import READABLE_ARE
from hftrain.errors import DataError

pytestmark = pytest.mark.filterwarnings("default")
TRIES = 40


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"text": [GOOD] * 20}), file)
    return file.getvalue()


def pdf() -> bytes:
    from pypdf import PdfWriter

    file, writer = io.BytesIO(), PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(file)
    return file.getvalue()


def warc() -> bytes:
    body = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + GOOD.encode() * 9 + b"</p>"
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x>\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
    head += "WARC-Target-URI: http://x/\r\nContent-Type: application/http; msgtype=response\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


ROWS = "".join(json.dumps({"text": GOOD, "n": number}) + "\n" for number in range(20)).encode()
TALKS = "".join(
    json.dumps({"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "Yes."}]}) + "\n"
    for n in range(20)
).encode()
WHOLE = {
    "a.txt": GOOD.encode() * 20,
    "a.html": b"<html><head><title>x</title></head><body><p>" + GOOD.encode() * 9 + b"</p></body></html>",
    "a.jsonl": ROWS,
    "a.jsonl.gz": gzip.compress(ROWS, mtime=0),
    "a.csv": b"text,n\n" + b"".join(b'"%s",%d\n' % (GOOD.strip().encode(), n) for n in range(20)),
    "a.srt": b"1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n" * 9,
    "a.epub": _epub(),
    "a.warc": warc(),
    "a.pdf": pdf(),
    "a.parquet": parquet(),
}


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, a piece cut out, doubled or put elsewhere, or the end cut off."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        at, length = draw.randrange(len(found)), draw.randint(1, 30)
        how = draw.randrange(5)
        if how == 0:
            found[at] = draw.randrange(256)
        elif how == 1:
            del found[at : at + length]
        elif how == 2:
            found[at:at] = found[at : at + length] * draw.randint(1, 5)
        elif how == 3:
            found[at:at] = draw.randbytes(length)
        else:
            del found[max(1, at) :]
        if not found:
            return b""
    return bytes(found)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_damaged_file_gives_rows_or_an_account_and_never_an_exception(name: str, tmp_path: Path) -> None:
    assert Path(name.removesuffix(".gz")).suffix in READABLE_ARE
    draw = random.Random(f"fuzz {name}")
    for attempt in range(TRIES):
        path = tmp_path / f"{attempt}-{name}"
        path.write_bytes(damaged(WHOLE[name], draw))
        gathering = Gathering()
        try:
            rows = list(gathering.documents([str(path)]))
        except DataError as problem:
            assert "row" in str(problem)  # of a sound file whose records are of another shape
            continue
        (source,) = gathering.sources
        assert isinstance(source, Source) and source.documents == len(rows)
        assert rows or source.unreadable or source.empty or source.broken or source.passed_over


def test_damaged_conversations_are_kept_whole_counted_or_named(tmp_path: Path) -> None:
    draw = random.Random("fuzz talks")
    for attempt in range(TRIES):
        path = tmp_path / f"{attempt}.jsonl"
        path.write_bytes(damaged(TALKS, draw))
        gathering = Gathering()
        try:
            rows = list(gathering.conversations([str(path)]))
        except DataError as problem:
            assert f"{attempt}.jsonl, row" in str(problem)
            continue
        assert gathering.sources[0].documents == len(rows)
