"""Files as records: .txt .md .jsonl .csv (each also as .gz) and .parquet, read as a stream."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

Records = Iterator[tuple[int, Mapping[str, object]]]
"""Row number (from 1) and record."""

LARGEST_TEXT_BYTES = 64_000_000
"""A .txt file is one document, held in memory whole; more than this is a corpus in one file."""

PARQUET_BATCH_ROWS = 256
LARGEST_CSV_FIELD_CHARS = 2**31 - 1


class UnreadableError(Exception):
    """A file cannot be read, or not to its end; the message says why. Caught by ``gathering``."""


def records_in(path: Path, *, text_column: str, broken: Callable[[str], None]) -> Records:
    """Yield the records of a file.

    Args:
        path: A file of a kind that ``places.readable_files`` finds.
        text_column: Under which name a .txt or .md file's text is given.
        broken: Told of each line that is not a record; the lines after it are read all the same.

    Raises:
        UnreadableError: The file cannot be opened, decoded or decompressed to its end. What was
            yielded before that stands.
    """
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            yield from _parquet_rows(path)
        else:
            with _opened(path) as file:
                if name.endswith(".jsonl"):
                    yield from _json_lines(file, broken)
                elif name.endswith(".csv"):
                    yield from _csv_rows(file, broken)
                else:
                    yield 1, {text_column: _whole_text(file)}
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start} ({error.reason})") from error
    except csv.Error as error:
        raise UnreadableError(f"not CSV: {error}") from error
    except pa.ArrowException as error:
        raise UnreadableError(f"not parquet: {str(error).splitlines()[0]}") from error
    except (EOFError, zlib.error) as error:
        raise UnreadableError(f"gzip stream is broken: {error}") from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def _opened(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def _whole_text(file: BinaryIO) -> str:
    data = file.read(LARGEST_TEXT_BYTES + 1)
    if len(data) > LARGEST_TEXT_BYTES:
        raise UnreadableError(
            f"more than {LARGEST_TEXT_BYTES:,} bytes of text as one document; cut it into several, "
            "such as the rows of a .jsonl file"
        )
    return data.decode("utf-8-sig")


def _json_lines(file: BinaryIO, broken: Callable[[str], None]) -> Records:
    """Lines end at LF alone: strings may hold U+2028 and the like as they are."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:  # of JSON and of UTF-8 alike
            broken(f"line {number} is not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            broken(f"line {number} is JSON but not an object")


def _csv_rows(file: BinaryIO, broken: Callable[[str], None]) -> Records:
    csv.field_size_limit(LARGEST_CSV_FIELD_CHARS)
    rows = csv.DictReader(_lines_with_ends(file), strict=True)
    for number, record in enumerate(rows, start=1):
        if None in record or None in record.values():
            broken(f"row {number} has another number of fields than the header")
        else:
            yield number, record


def _lines_with_ends(file: BinaryIO) -> Iterator[str]:
    # Not io.TextIOWrapper: it decodes ahead, so that an error would also cost the rows before it.
    for number, line in enumerate(file):
        yield line.decode("utf-8-sig" if number == 0 else "utf-8")


def _parquet_rows(path: Path) -> Records:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield number, record
