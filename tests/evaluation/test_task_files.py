import gzip
import json
from pathlib import Path

import pytest

from hftrain.errors import DataError
from hftrain.evaluation.settings import BenchmarkSettings
from hftrain.evaluation.task_files import read_items, read_rows, spread
from hftrain.evaluation.tasks import TASKS, task_of

ROWS = [{"good": f"good {n}", "bad": f"bad {n}", "uid": str(n // 5)} for n in range(10)]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_rows_come_from_lines_packed_or_not_and_from_tables(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    odd = [{"text": "a\u2028b", "n": 1}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(odd), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text("text,n\nx,1\n")

    assert read_rows(written(tmp_path / "rows.jsonl", odd)) == odd
    assert read_rows(written(tmp_path / "rows.jsonl.gz", odd)) == odd
    assert read_rows(tmp_path / "rows.parquet") == odd
    assert read_rows(tmp_path / "rows.csv") == [{"text": "x", "n": "1"}]


def test_a_broken_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": ')

    with pytest.raises(DataError, match=r"rows\.jsonl: cannot be read"):
        read_rows(tmp_path / "rows.jsonl")


def test_fewer_rows_are_spread_over_all() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(3), 4) == [0, 1, 2]


def test_a_limit_asks_each_part_of_a_sorted_file(tmp_path: Path) -> None:
    items = read_items(TASKS["blimp"], BenchmarkSettings(file=written(tmp_path / "b.jsonl", ROWS)), limit=2)

    assert [item.group for item in items] == ["0", "1"]


def test_a_row_of_another_form_is_refused_with_its_number(tmp_path: Path) -> None:
    settings = BenchmarkSettings(file=written(tmp_path / "b.jsonl", [*ROWS, {"other": 1}]))

    with pytest.raises(DataError, match="blimp row 10: is not of the form of blimp"):
        read_items(TASKS["blimp"], settings, limit=None)


def test_shots_of_the_same_subject_stand_before_a_question(tmp_path: Path) -> None:
    def row(subject: str, number: int) -> dict[str, object]:
        return {"subject": subject, "question": f"{subject} {number}?", "choices": ["x", "y"], "answer": number % 2}

    shots = written(tmp_path / "dev.jsonl", [row("law", 0), row("art", 1), row("art", 2), row("art", 3)])
    asked = written(tmp_path / "test.jsonl", [row("art", 9)])
    settings = BenchmarkSettings(file=asked, shots=2, shots_file=shots)

    (item,) = read_items(task_of("mmlu", settings), settings, limit=None)

    assert item.contexts[0] == (
        "The following are multiple choice questions (with answers) about art.\n\n"
        "art 1?\nA. x\nB. y\nAnswer: B\n\nart 2?\nA. x\nB. y\nAnswer: A\n\nart 9?\nA. x\nB. y\nAnswer:"
    )


def test_too_few_shots_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", [{"question": "?", "answer": "#### 1"}])
    settings = BenchmarkSettings(file=path, shots=2, shots_file=path)

    with pytest.raises(DataError, match="1 rows of the task, but shots is 2"):
        read_items(task_of("gsm8k", settings), settings, limit=None)
