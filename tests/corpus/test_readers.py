import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hftrain.corpus.readers import UnreadableError, records_in

ROWS = [{"text": "One\u2028two\x85three."}, {"text": "Four."}]


def read(path: Path) -> tuple[list[tuple[int, Mapping[str, object]]], list[str]]:
    broken: list[str] = []
    return list(records_in(path, text_column="body", broken=broken.append)), broken


def json_lines(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".JSONL"])
def test_json_lines_end_at_line_feeds_only(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    data = json_lines(*ROWS)
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)

    assert read(path) == ([(1, ROWS[0]), (2, ROWS[1])], [])


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('id,text\n1,"Two\nlines, one field."\n2,Four.\n', encoding="utf-8")
    table = pa.table({"id": ["1", "2"], "text": ["Two\nlines, one field.", "Four."]})
    pq.write_table(table, tmp_path / "rows.parquet")

    expected = [(1, {"id": "1", "text": "Two\nlines, one field."}), (2, {"id": "2", "text": "Four."})]
    assert read(tmp_path / "rows.csv") == (expected, [])
    assert read(tmp_path / "rows.parquet") == (expected, [])


def test_a_csv_field_may_be_as_long_as_a_chapter(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\n" + "a" * 300_000 + "\n", encoding="utf-8")
    rows, _ = read(tmp_path / "rows.csv")
    assert len(str(rows[0][1]["text"])) == 300_000


@pytest.mark.parametrize("name", ["tale.txt", "tale.md", "tale.txt.gz"])
def test_a_text_file_is_one_record_under_the_asked_name(tmp_path: Path, name: str) -> None:
    data = "\ufeffOnce.\n\nUpon a time.".encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    assert read(tmp_path / name) == ([(1, {"body": "Once.\n\nUpon a time."})], [])


def test_broken_json_lines_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": \n\n[1]\n\xff\xfe\n{"text": "b"}\n')

    rows, broken = read(path)

    assert rows == [(1, {"text": "a"}), (6, {"text": "b"})]
    assert [reason.split(":")[0] for reason in broken] == [
        "line 2 is not JSON",
        "line 4 is JSON but not an object",
        "line 5 is not JSON",
    ]


def test_a_csv_row_of_another_width_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n1,a\n2\n3,b,c\n4,d\n", encoding="utf-8")
    rows, broken = read(tmp_path / "rows.csv")
    assert [number for number, _ in rows] == [1, 4]
    assert len(broken) == 2


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("latin.txt", "Zwölf".encode("latin-1"), "not UTF-8 at byte 2"),
        ("rows.parquet", b"PAR1 but not really", "not parquet"),
        ("rows.jsonl.gz", b"this is not gzip", "gzip"),
        ("cut.txt.gz", gzip.compress(b"Once upon a time, a long time ago.")[:-9], "gzip stream is broken"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableError, match=f"(?i){said}"):
        read(tmp_path / name)


def test_rows_before_the_break_of_a_cut_file_still_count(tmp_path: Path) -> None:
    data = json_lines(*({"text": f"Row {number} " + "x" * 3000} for number in range(2000)))
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(data, compresslevel=0)[:-100_000])
    records = records_in(tmp_path / "rows.jsonl.gz", text_column="text", broken=lambda reason: None)
    count = 0
    with pytest.raises(UnreadableError):
        for _ in records:
            count += 1
    assert 1800 < count < 2000


def test_a_text_file_too_large_for_one_document_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hftrain.corpus.readers.LARGEST_TEXT_BYTES", 10)
    (tmp_path / "all.txt").write_text("0123456789A")
    with pytest.raises(UnreadableError, match="more than 10 bytes"):
        read(tmp_path / "all.txt")
