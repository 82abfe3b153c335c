import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from hftrain.corpus.storage import (
    CONVERSATION_FEATURES,
    DOCUMENT_FEATURES,
    RowWriter,
    each_row,
    read_rows,
    write_rows,
)
from hftrain.errors import DataError


def document(number: int, text: str = "A cat sat.") -> dict[str, object]:
    return {"id": f"{number:04}", "text": text, "source": "tales", "license": "CC0-1.0", "meta": "{}"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_written_is_opened_by_datasets_alone(tmp_path: Path) -> None:
    rows = [document(1), document(2, "Zwölf Boxkämpfer\u2028jagen Viktor.")]

    assert write_rows(tmp_path, iter(rows), DOCUMENT_FEATURES) == 2

    opened = datasets.load_from_disk(str(tmp_path))
    assert list(opened) == rows
    assert opened.features == DOCUMENT_FEATURES


def test_two_writes_of_the_same_rows_are_byte_identical(tmp_path: Path) -> None:
    rows = [document(number, "word " * number) for number in range(3000)]

    for name in ("one", "two"):
        write_rows(tmp_path / name, iter(rows), DOCUMENT_FEATURES)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_other_rows_have_another_fingerprint(tmp_path: Path) -> None:
    for name, text in (("one", "A cat sat."), ("two", "A dog sat.")):
        write_rows(tmp_path / name, [document(1, text)], DOCUMENT_FEATURES)

    fingerprints = {read_rows(tmp_path / name)._fingerprint for name in ("one", "two")}
    assert len(fingerprints) == 2


@pytest.mark.parametrize("features", [DOCUMENT_FEATURES, CONVERSATION_FEATURES])
def test_no_rows_make_an_empty_dataset_with_its_columns(tmp_path: Path, features: datasets.Features) -> None:
    assert write_rows(tmp_path, [], features) == 0

    opened = datasets.load_from_disk(str(tmp_path))
    assert len(opened) == 0 and list(opened) == [] and opened.features == features


def test_conversations_keep_their_messages_in_order(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    row = {"id": "1", "messages": messages, "source": "s", "license": "MIT", "meta": "{}"}

    write_rows(tmp_path, [row], CONVERSATION_FEATURES)

    assert read_rows(tmp_path)[0]["messages"] == messages


def test_writing_holds_one_batch_in_memory(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        for number in range(60):
            yield document(number, chr(97 + number % 26) * 1_000_000)

    tracemalloc.start()
    write_rows(tmp_path, rows(), DOCUMENT_FEATURES)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 20_000_000  # of 60 MB written


def test_rows_come_back_in_order_across_batches(tmp_path: Path) -> None:
    rows = [document(number) for number in range(1500)]
    write_rows(tmp_path, rows, DOCUMENT_FEATURES)

    assert list(each_row(read_rows(tmp_path))) == rows


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "1"}, "row 1: columns ['id']"),
        (document(1) | {"extra": "x"}, "row 1: columns"),
        (document(1) | {"text": 5}, "does not fit its column"),
        (document(1) | {"text": "\ud800"}, "does not fit its column"),
    ],
)
def test_a_row_of_another_shape_is_refused(tmp_path: Path, row: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match="Mend the row|exactly these") as refusal:
        write_rows(tmp_path, [row], DOCUMENT_FEATURES)
    assert said in str(refusal.value)


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable dataset"):
        read_rows(tmp_path / "nothing")


def test_a_failed_write_leaves_no_dataset_behind(tmp_path: Path) -> None:
    write_rows(tmp_path, [document(1), document(2)], DOCUMENT_FEATURES)
    with pytest.raises(ZeroDivisionError), RowWriter(tmp_path, DOCUMENT_FEATURES) as writer:
        writer.write(document(1))
        raise ZeroDivisionError

    with pytest.raises(DataError, match="no readable dataset"):
        read_rows(tmp_path)
