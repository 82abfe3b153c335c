"""How fast each kind of file is read: MB of its text, and rows, per second of one core; and the peak memory.

python tests/bench/reading.py [--megabytes 50]
"""

import argparse
import gzip
import json
import resource
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from hftrain.corpus.accounts import Source
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.readers import records_in
from hftrain.corpus.source_trees import code_records

SENTENCE = "the fox and the grapes that hung so high that he could not reach them however high he jumped up"
WORDS = SENTENCE.split()
PAGE = (
    '<html><head><title>Page {}</title></head><body><nav><a href="/">Home</a></nav><article>{}</article></body></html>'
)
CONTAINER = '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'


def paragraph(number: int) -> str:
    turn = number % len(WORDS)
    return " ".join([f"Number {number}:", *(WORDS[turn:] + WORDS[:turn]) * 4]) + "."


def paragraphs(size_bytes: int) -> Iterator[str]:
    number = 0
    while size_bytes > 0:
        yield (text := paragraph(number))
        size_bytes -= len(text)
        number += 1


def book(path: Path, size_bytes: int) -> None:
    chapters = max(1, size_bytes // 500_000)
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(chapters))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(chapters))
    body = "".join(f"<p>{text}</p>\n" for text in paragraphs(500_000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("b.opf", f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>")
        for number in range(chapters):
            archive.writestr(f"c{number}.xhtml", f"<html><body>{body}</body></html>")


def crawl(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        for number in range(max(1, size_bytes // 4000)):
            body = PAGE.format(number, "".join(f"<p>{paragraph(number + each)}</p>" for each in range(10))).encode()
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
            about = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.org/{number}\r\n"
            file.write(f"{about}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n")


def write_files(folder: Path, size_bytes: int) -> list[Path]:
    """One file of each kind; those that are read slowly are small."""
    texts = list(paragraphs(size_bytes))
    rows = "".join(json.dumps({"text": text, "title": f"T{number}"}) + "\n" for number, text in enumerate(texts))
    tiny = "".join(json.dumps({"text": f"tiny row {number}", "title": "T"}) + "\n" for number in range(300_000))
    cues = (
        f"{n}\n00:{n // 60 % 60:02}:{n % 60:02},000 --> 00:00:00,900\n{text[:80]}\n" for n, text in enumerate(texts)
    )
    whole = "\n\n".join(texts).encode()
    written = {
        "text.txt": whole,
        "text.txt.gz": gzip.compress(whole, 6),
        "text.txt.zst": zstandard.compress(whole),
        "film.srt": "\n".join(cues).encode(),
        "rows.jsonl": rows.encode(),
        "rows.jsonl.gz": gzip.compress(rows.encode(), 6),
        "rows.jsonl.zst": zstandard.compress(rows.encode()),
        "rows.csv": ("text,title\n" + "".join(f'"{text}",T\n' for text in texts)).encode(),
        "tiny.jsonl": tiny.encode(),
        "tiny.csv": ("text,title\n" + "".join(f"tiny row {number},T\n" for number in range(300_000))).encode(),
    }
    for name, data in written.items():
        (folder / name).write_bytes(data)
    pq.write_table(pa.table({"text": texts, "title": ["T"] * len(texts)}), folder / "rows.parquet")
    pq.write_table(pa.table({"text": [f"tiny row {n}" for n in range(300_000)]}), folder / "tiny.parquet")
    book(folder / "book.epub", size_bytes)
    crawl(folder / "crawl.warc", size_bytes // 20)
    return sorted(path for path in folder.iterdir())


def measure(give: Callable[[], Iterator[object]], repeats: int = 3) -> tuple[int, int, float]:
    """Rows, bytes of text, and the median seconds of one pass."""
    seconds = []
    for _ in range(repeats):
        began, count, size_bytes = time.process_time(), 0, 0
        for row in give():
            count += 1
            size_bytes += len(str(row["text"]))  # type: ignore[index]
        seconds.append(time.process_time() - began)
    return count, size_bytes, statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=50)
    size_bytes = parser.parse_args().megabytes * 1_000_000

    def records(path: Path) -> Iterator[object]:
        return (record for _, record in records_in(path, text_column="text", source=Source(path.name, "documents")))

    def shown(name: str, step: str, give: Callable[[], Iterator[object]]) -> None:
        count, text_bytes, seconds = measure(give)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{name:16}{step:10}{count:>9,}{text_bytes / 1e6 / seconds:>10.1f}{count / seconds:>12,.0f}{peak:>8}")

    print(f"{'file':16}{'step':10}{'rows':>9}{'MB/s':>10}{'rows/s':>12}{'MiB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(Path(folder), size_bytes):
            shown(path.name, "records", lambda path=path: records(path))
            if path.name.startswith(("rows", "tiny", "text.txt")) and "." in path.name:
                shown(path.name, "documents", lambda path=path: Gathering().documents([str(path)]))
    package = Path(pa.__file__).parent
    code = Source("code", "documents")
    shown(
        "code:pyarrow",
        "records",
        lambda: (row for _, row in code_records(package, (), text_column="text", source=code)),
    )


if __name__ == "__main__":
    main()
