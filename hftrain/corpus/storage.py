"""Rows on disk as one Arrow stream that ``datasets.load_from_disk`` opens: same rows, same bytes.

``Dataset.save_to_disk`` is not used: it draws a random fingerprint, and it writes what a cache
holds instead of what a generator gives.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

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

DROPPED_FEATURES = Features({name: Value("string") for name in ("id", "source", "rule", "detail")})
"""A row that curation took out, the rule that did, and what was wrong with it."""

STATE_FILE = "state.json"
DATA_FILE = "data-00000-of-00001.arrow"
BATCH_ROWS = 1024
BATCH_CHARS = 4_000_000
"""A batch closes at whichever limit it meets first: long rows must not gather in memory."""

READ_ROWS = 256


def write_rows(folder: Path, rows: Iterable[Mapping[str, object]], features: Features) -> int:
    """Stream ``rows`` into ``folder`` and return how many there were.

    Memory holds one batch. The fingerprint is a digest of the data file, so equal rows give
    equal bytes in every file.

    Raises:
        DataError: A row lacks a column, has one too many, or holds a value of another type.
    """
    with RowWriter(folder, features) as writer:
        writer.write_all(rows)
    return writer.row_count


def read_rows(folder: Path) -> Dataset:
    """Open what ``write_rows`` (or ``Dataset.save_to_disk``) wrote; memory-mapped, not loaded.

    Raises:
        DataError: The folder holds no dataset.
    """
    try:
        dataset = load_from_disk(str(folder))
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise _unreadable(folder, error) from error
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{folder}: holds several splits ({', '.join(dataset)}). One dataset is needed. "
            "Give the folder of one split."
        )
    return dataset


def each_row(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the rows in order; some ten times as fast as iterating over the dataset itself."""
    for table in dataset.with_format("arrow").iter(batch_size=READ_ROWS):
        yield from table.to_pylist()


def each_batch(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows as Arrow batches, in the order and sizes in which they were written.

    They are read, not mapped: memory holds one batch, and what is done with is given back.

    Raises:
        DataError: The folder holds no dataset.
    """
    try:
        files = [each["filename"] for each in json.loads((folder / STATE_FILE).read_bytes())["_data_files"]]
        for name in files:
            with pa.OSFile(str(folder / name)) as file, pa.ipc.open_stream(file) as stream:
                yield from stream
    except (FileNotFoundError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise _unreadable(folder, error) from error


class RowWriter:
    """``write_rows`` for a loop that fills several folders at once; a context manager."""

    def __init__(self, folder: Path, features: Features) -> None:
        self.row_count = 0
        self._folder = folder
        self._features = features
        # datasets reads the column types from the schema's own metadata too.
        self._schema = features.arrow_schema
        self._batch: list[Mapping[str, object]] = []
        self._batch_chars = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / STATE_FILE).unlink(missing_ok=True)  # nothing opens before all is written
        info = {"features": self._features.to_dict(), "citation": "", "description": ""}
        _write_text(self._folder / "dataset_info.json", info | {"homepage": "", "license": ""})
        self._file = _HashingFile((self._folder / DATA_FILE).open("wb"))
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), self._schema)
        return self

    def write(self, row: Mapping[str, object]) -> None:
        """Add one row."""
        self._batch.append(row)
        self._batch_chars += sum(map(_size_chars, row.values()))
        if len(self._batch) == BATCH_ROWS or self._batch_chars >= BATCH_CHARS:
            self._flush()

    def write_all(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add rows."""
        for row in rows:
            self.write(row)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows that are Arrow already; columns that this writer does not have are left out."""
        if self._batch:
            self._flush()
        if batch.num_rows:
            self._stream.write_batch(batch.select(self._schema.names).cast(self._schema))
            self.row_count += batch.num_rows

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None and (self._batch or self.row_count == 0):
                self._flush()  # a stream with no batch at all cannot be made into a Dataset
        finally:
            self._stream.close()
            self._file.really_close()
        if kind is None:
            _write_text(self._folder / STATE_FILE, _state(self._file.hexdigest()[:16]))

    def _flush(self) -> None:
        batch = _to_arrow(self._batch, self._schema, self._folder, first_row=self.row_count)
        self._stream.write_batch(batch)
        self.row_count += len(self._batch)
        self._batch, self._batch_chars = [], 0


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

    def really_close(self) -> None:
        self._file.close()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _unreadable(folder: Path, error: Exception) -> DataError:
    return DataError(
        f"{folder}: no readable dataset ({error}). A folder that datasets.load_from_disk opens "
        "is needed. Run the stage that makes it, or give the right folder."
    )


def _size_chars(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size_chars(part) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(_size_chars(part) for part in value)
    return 8


def _to_arrow(batch: list[Mapping[str, object]], schema: pa.Schema, folder: Path, first_row: int) -> pa.RecordBatch:
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
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
