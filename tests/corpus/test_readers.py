import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from hftrain.corpus import readers
from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.readers import records_in

ROWS = [{"text": "One\u2028two\x85three."}, {"text": "Four."}]
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def read(path: Path) -> tuple[list[tuple[int, Mapping[str, object]]], Source]:
    source = Source(path.name, "documents")
    return list(records_in(path, text_column="body", source=source)), source


def json_lines(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize("compressed", COMPRESSED)
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL"])
def test_json_lines_end_at_line_feeds_only(tmp_path: Path, suffix: str, compressed: str) -> None:
    path = tmp_path / f"rows{suffix}{compressed}"
    path.write_bytes(COMPRESSED[compressed](json_lines(*ROWS)))

    rows, source = read(path)

    assert rows == [(1, ROWS[0]), (2, ROWS[1])]
    assert (source.broken, source.encoding) == (0, "utf-8")


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('id,text\n1,"Two\nlines, one field."\n\n2,Four.\n', encoding="utf-8")
    table = pa.table({"id": ["1", "2"], "text": ["Two\nlines, one field.", "Four."]})
    pq.write_table(table, tmp_path / "rows.parquet")

    expected = [(1, {"id": "1", "text": "Two\nlines, one field."}), (2, {"id": "2", "text": "Four."})]
    assert read(tmp_path / "rows.csv")[0] == expected
    assert read(tmp_path / "rows.parquet")[0] == expected


def test_parquet_rows_are_numbered_through_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST_PARQUET_BATCH_ROWS", 3)
    pq.write_table(pa.table({"n": list(range(10))}), tmp_path / "rows.parquet", row_group_size=4)
    assert read(tmp_path / "rows.parquet")[0] == [(number, {"n": number - 1}) for number in range(1, 11)]


def test_a_csv_field_may_be_as_long_as_a_chapter(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\n" + "a" * 300_000 + "\n", encoding="utf-8")
    rows, _ = read(tmp_path / "rows.csv")
    assert len(str(rows[0][1]["text"])) == 300_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_a_csv_file_may_be_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"{number},Sie aßen schöne Äpfel und müssen über die Brücke.\n" for number in range(5000))
    (tmp_path / "rows.csv").write_bytes(f"id,text\n{rows}".encode(encoding))

    found, source = read(tmp_path / "rows.csv")

    assert len(found) == 5000
    assert {record["text"] for _, record in found} == {"Sie aßen schöne Äpfel und müssen über die Brücke."}
    assert str(source.encoding).startswith(encoding.removesuffix("-sig"))


@pytest.mark.parametrize("compressed", COMPRESSED)
@pytest.mark.parametrize("suffix", [".txt", ".md"])
def test_a_text_file_is_one_record_under_the_asked_name(tmp_path: Path, suffix: str, compressed: str) -> None:
    path = tmp_path / f"tale{suffix}{compressed}"
    path.write_bytes(COMPRESSED[compressed]("\ufeffOnce.\n\nUpon a time.".encode()))

    assert read(path)[0] == [(1, {"body": "Once.\n\nUpon a time."})]


@pytest.mark.parametrize("compressed", COMPRESSED)
def test_each_kind_of_file_has_its_reader(tmp_path: Path, compressed: str) -> None:
    page = "<html><head><title>Fox</title></head><body><p>The fox and the grapes.</p></body></html>"
    kinds = {
        "page.html": page,
        "page.htm": page,
        "page.xhtml": page,
        "film.srt": "1\n00:00:01,000 --> 00:00:02,000\nThe fox and the grapes.\n",
        "film.vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\nThe fox and the grapes.\n",
    }
    for name, text in kinds.items():
        path = tmp_path / f"{name}{compressed}"
        path.write_bytes(COMPRESSED[compressed](text.encode()))
        assert [record["body"] for _, record in read(path)[0]] == ["The fox and the grapes."], name


def test_broken_json_lines_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    deep = b"[" * 100_000
    path.write_bytes(b'{"text": "a"}\n{"text": \n\n[1]\n\xff\xfe\n' + deep + b'\n{"text": "b"}\n')

    rows, source = read(path)

    assert rows == [(1, {"text": "a"}), (7, {"text": "b"})]
    assert source.broken == 4
    assert str(source.unreadable).startswith("line 2 is not JSON")


def test_a_line_too_long_is_told_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LARGEST_ROW_BYTES", 40)
    monkeypatch.setattr(readers, "PASSED_BYTES", 16)
    (tmp_path / "rows.jsonl").write_bytes(json_lines({"text": "a"}, {"text": "b" * 100}, {"text": "c"}))
    (tmp_path / "rows.csv").write_text("text\na\n" + "b" * 100 + '\nc\n"d\n' + "e" * 100 + '\nd"\nf\n')

    rows, source = read(tmp_path / "rows.jsonl")
    cells, table = read(tmp_path / "rows.csv")

    assert rows == [(1, {"text": "a"}), (3, {"text": "c"})]
    assert (source.broken, source.unreadable) == (1, "line 2 is longer than 40 bytes")
    assert [record["text"] for _, record in cells] == ["a", "c", "f"]
    assert table.broken == 3  # two lines, and the row that one of them was in


def test_a_csv_row_of_another_width_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n1,a\n2\n3,b,c\n4,d\n", encoding="utf-8")
    rows, source = read(tmp_path / "rows.csv")
    assert [number for number, _ in rows] == [1, 4]
    assert source.broken == 2


def bad_files() -> dict[str, tuple[bytes, str]]:
    text = b"Once upon a time, a long time ago." * 99
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("notes.txt", "no book")
    return {
        "latin.txt": ("Zwölf".encode("latin-1"), "not UTF-8 at byte 2"),
        "empty.txt": (b"", "empty: 0 bytes"),
        "empty.txt.gz": (gzip.compress(b""), "empty: 0 bytes"),
        "picture.txt": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text: a NUL byte at byte 8"),
        "damaged.txt": ("Ääh, schöne Füße".encode() + b"\xff " * 3 + text, "not UTF-8 at byte .* damaged"),
        "cut.utf16.txt": ("Once".encode("utf-16") + b"x", "not UTF-16-LE at byte 8"),
        "rows.parquet": (b"PAR1 but not really", "not parquet"),
        "empty.parquet": (b"", "not parquet"),
        "rows.jsonl.gz": (b"this is not gzip", "gzip"),
        "cut.txt.gz": (gzip.compress(text)[:-9], "gzip stream is broken"),
        "rows.jsonl.zst": (b"this is not zstd", "zstd stream is broken"),
        "cut.txt.zst": (zstandard.compress(text)[:-9], "zstd stream is broken: it ends within a frame"),
        "nonsense.epub": (b"PK\x03\x04 nonsense", "not EPUB"),
        "notes.epub": (archive.getvalue(), "not EPUB: no META-INF/container.xml in it"),
        "nonsense.pdf": (b"%PDF-1.7\nnonsense", "not PDF"),
        "nonsense.warc": (b"nonsense\nand more", "not WARC"),
        "open.csv": (b'text\na\n"never closed\n', "not CSV after row 1"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    data, said = bad_files()[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableError, match=f"(?i){said}"):
        read(tmp_path / name)


@pytest.mark.parametrize("compressed", [".gz", ".zst"])
def test_rows_before_the_break_of_a_cut_file_still_count(tmp_path: Path, compressed: str) -> None:
    data = json_lines(*({"text": f"Row {number} " + "x" * 3000} for number in range(2000)))
    level_none = gzip.compress(data, compresslevel=0) if compressed == ".gz" else zstandard.compress(data, level=-50)
    path = tmp_path / f"rows.jsonl{compressed}"
    path.write_bytes(level_none[: int(len(level_none) * 0.95)])
    records = records_in(path, text_column="text", source=Source("rows", "documents"))
    count = 0
    with pytest.raises(UnreadableError):
        for _ in records:
            count += 1
    assert 1700 < count < 2000


@pytest.mark.parametrize("compressed", COMPRESSED)
def test_a_text_file_too_large_for_one_document_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: str
) -> None:
    monkeypatch.setattr(readers, "LARGEST_TEXT_BYTES", 1000)
    path = tmp_path / f"all.txt{compressed}"
    path.write_bytes(COMPRESSED[compressed](b"0" * 50_000_000))
    with pytest.raises(UnreadableError, match="more than 1,000 bytes"):
        read(path)


def test_a_compressed_book_that_unpacks_without_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LARGEST_BOOK_BYTES", 1000)
    for name in ("bomb.epub.gz", "bomb.pdf.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"0" * 5_000_000))
        with pytest.raises(UnreadableError, match="unpacks to more than 1,000 bytes"):
            read(tmp_path / name)
