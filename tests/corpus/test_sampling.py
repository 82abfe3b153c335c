import random
from collections.abc import Iterable
from pathlib import Path

from hftrain.corpus.records import document_id
from hftrain.corpus.sampling import write_sample
from hftrain.corpus.storage import DOCUMENT_FEATURES, read_rows


def documents(numbers: Iterable[int]) -> list[dict[str, object]]:
    texts = [f"Tale {number}." for number in numbers]
    rest = {"source": "tales", "license": "MIT", "meta": "{}"}
    return [{"id": document_id(text), "text": text, **rest} for text in texts]


def sample(tmp_path: Path, rows: list[dict[str, object]], largest_rows: int | None) -> list[str]:
    written = write_sample(
        tmp_path / "kept", rows, DOCUMENT_FEATURES, largest_rows=largest_rows, scratch=tmp_path / "scratch"
    )
    assert not (tmp_path / "scratch").exists()
    ids = list(read_rows(tmp_path / "kept")["id"])
    assert len(ids) == written
    return ids


def test_without_a_limit_all_rows_stay_in_their_order(tmp_path: Path) -> None:
    rows = documents(range(10))
    assert sample(tmp_path, rows, None) == [row["id"] for row in rows]


def test_the_rows_with_the_smallest_ids_are_kept_in_their_order(tmp_path: Path) -> None:
    rows = documents(range(100))
    smallest = sorted(str(row["id"]) for row in rows)[:7]
    assert sample(tmp_path, rows, 7) == [row["id"] for row in rows if row["id"] in smallest]


def test_the_choice_does_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = documents(range(100))
    shuffled = random.Random(1).sample(rows, 100)
    assert set(sample(tmp_path, rows, 20)) == set(sample(tmp_path, shuffled, 20))


def test_ten_more_documents_push_out_ten_at_most(tmp_path: Path) -> None:
    before = set(sample(tmp_path, documents(range(100)), 50))
    after = set(sample(tmp_path, documents(range(110)), 50))
    assert len(before - after) <= 10


def test_equal_texts_do_not_pass_the_limit(tmp_path: Path) -> None:
    assert len(sample(tmp_path, documents([1] * 10), 3)) == 3
    assert len(sample(tmp_path, documents(range(2)), 3)) == 2
