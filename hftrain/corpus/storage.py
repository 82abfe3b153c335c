"""Rows on disk as one Arrow stream that ``datasets.load_from_disk`` opens: same rows, same bytes.

``Dataset.save_to_disk`` is not used: it draws a random fingerprint, and it writes what a cache
holds instead of what a generator gives.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from datasets import Dataset, Features, List, Value, load_from_disk

from hftrain.errors import DataError

DOCUMENT_FEATURES = Features(
    {
        "id": Value("string"),
        "text": Value("string"),
        "source": Value("string"),
        "license": Value("string"),
        "meta": Value("string"),
    }
)
"""One text a row. ``meta`` is a JSON object as text, so that every source fits one schema."""

CONVERSATION_FEATURES = Features(
    {
        "id": Value("string"),
        "messages": List({"role": Value("string"), "content": Value("string")}),
        "source": Value("string"),
        "license": Value("string"),
        "meta": Value("string"),
    }
)
"""One conversation a row, in the shape that chat templates and TRL read."""

DATA_FILE = "data-00000-of-00001.arrow"
BATCH_ROWS = 1024
BATCH_CHARS = 4_000_000
"""A batch closes at whichever limit it meets first: long rows must not gather in memory."""


def write_rows(folder: Path, rows: Iterable[Mapping[str, object]], features: Features) -> int:
    """Stream ``rows`` into ``folder`` and return how many there were.

    Memory holds one batch. The fingerprint is a digest of the data file, so equal rows give
    equal bytes in every file.

    Raises:
        DataError: A row lacks a column, has one too many, or holds a value of another type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    row_count = 0
    with (folder / DATA_FILE).open("wb") as raw_file:
        hashed = _HashingFile(raw_file)
        # datasets reads the column types from the schema's own metadata; dataset_info.json agrees.
        schema = features.arrow_schema
        with pa.ipc.new_stream(pa.PythonFile(hashed, mode="w"), schema) as writer:
            for batch in _batches(rows):
                writer.write_batch(_to_arrow(batch, schema, folder, first_row=row_count))
                row_count += len(batch)
            if row_count == 0:
                # A stream with no batch at all cannot be made into a Dataset.
                writer.write_batch(pa.RecordBatch.from_pylist([], schema=schema))
    _write_text(folder / "state.json", _state(hashed.hexdigest()[:16]))
    info = {"features": features.to_dict(), "citation": "", "description": "", "homepage": ""}
    _write_text(folder / "dataset_info.json", info | {"license": ""})
    return row_count


def read_rows(folder: Path) -> Dataset:
    """Open what ``write_rows`` (or ``Dataset.save_to_disk``) wrote; memory-mapped, not loaded.

    Raises:
        DataError: The folder holds no dataset.
    """
    try:
        dataset = load_from_disk(str(folder))
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{folder}: no readable dataset ({error}). A folder that datasets.load_from_disk opens "
            "is needed. Run the stage that makes it, or give the right folder."
        ) from error
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{folder}: holds several splits ({', '.join(dataset)}). One dataset is needed. "
            "Give the folder of one split."
        )
    return dataset


class _HashingFile:
    """The few file methods that Arrow's writer calls, with a digest of what passes through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _batches(rows: Iterable[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    batch: list[Mapping[str, object]] = []
    chars = 0
    for row in rows:
        batch.append(row)
        chars += sum(_size_chars(value) for value in row.values())
        if len(batch) == BATCH_ROWS or chars >= BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _size_chars(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size_chars(part) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(_size_chars(part) for part in value)
    return 8


def _to_arrow(
    batch: list[Mapping[str, object]], schema: pa.Schema, folder: Path, first_row: int
) -> pa.RecordBatch:
    columns = set(schema.names)
    for offset, row in enumerate(batch):
        if row.keys() != columns:
            raise DataError(
                f"{folder}, row {first_row + offset + 1}: columns {sorted(row)}. "
                f"{sorted(columns)} are needed. Give each row exactly these."
            )
    try:
        return pa.RecordBatch.from_pylist([dict(row) for row in batch], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        last_row = first_row + len(batch)
        raise DataError(
            f"{folder}, rows {first_row + 1} to {last_row}: a value does not fit its column "
            f"({error}). Needed: {schema.to_string(show_schema_metadata=False)}. Mend the row."
        ) from error


def _state(fingerprint: str) -> dict[str, object]:
    return {
        "_data_files": [{"filename": DATA_FILE}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def _write_text(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
