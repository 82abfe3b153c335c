"""Files as records, each kind as a stream: see ``places`` for the kinds that are read."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hftrain.corpus import compression
from hftrain.corpus.accounts import (
    LARGEST_BOOK_BYTES,
    LARGEST_ROW_BYTES,
    LARGEST_TEXT_BYTES,
    Source,
    UnreadableError,
)
from hftrain.corpus.encodings import UTF_8, as_marked, as_utf_8, decoded
from hftrain.corpus.records import parsed

Records = Iterator[tuple[int, Mapping[str, object]]]
"""Row number (from 1) and record."""

PARQUET_BATCH_BYTES = 8_000_000
MOST_PARQUET_BATCH_ROWS = 4096
PASSED_BYTES = 1 << 20
"""What is held at a time of what is not kept, or not yet needed."""


def records_in(path: Path, *, text_column: str, source: Source) -> Records:
    """Yield the records of a file.

    Args:
        path: A file of a kind that ``places.readable_files`` finds.
        text_column: Under which name the text of a file, chapter or page is given.
        source: Told of the encoding, and of each record that is broken or of a kind that is not read; the records
            after it are read all the same.

    Raises:
        UnreadableError: The file cannot be opened, decoded or decompressed to its end, or is nothing like its name.
            What was yielded before that stands.
    """
    name = compression.uncompressed_name(path)
    if name.endswith(".parquet"):
        yield from _parquet_rows(path)
        return
    with compression.opened(path) as file:
        if not file.peek(1):
            raise UnreadableError("empty: 0 bytes")
        yield from _records_of(file, name, text_column, source)


def _records_of(file: io.BufferedReader, name: str, text_column: str, source: Source) -> Records:
    kind = name.rpartition(".")[2]
    if kind in ("jsonl", "ndjson"):
        stream, marked = as_marked(file)
        source.encoding = marked or UTF_8
        return _json_lines(stream, source)
    if kind == "csv":
        return _csv_rows(file, source)
    if kind == "warc":
        from hftrain.corpus.webpages import warc_records

        return warc_records(file, text_column=text_column, source=source)
    if kind == "epub":
        from hftrain.corpus.books import book_records

        return book_records(_seekable(file, name), text_column=text_column, source=source)
    return iter([(1, _whole_file(file, kind, text_column, source))])


def _whole_file(file: io.BufferedReader, kind: str, text_column: str, source: Source) -> Mapping[str, object]:
    """A file that is one document."""
    if kind == "pdf":
        from hftrain.corpus.portable_documents import pdf_record

        return pdf_record(_seekable(file, kind), text_column=text_column)
    data = file.read(LARGEST_TEXT_BYTES + 1)
    if len(data) > LARGEST_TEXT_BYTES:
        raise UnreadableError(
            f"more than {LARGEST_TEXT_BYTES:,} bytes of text as one document; cut it into several, "
            "such as the rows of a .jsonl file"
        )
    if kind in ("html", "htm", "xhtml"):
        from hftrain.corpus.webpages import html_record

        return html_record(data, text_column=text_column, source=source)
    text, source.encoding = decoded(data)
    if kind in ("srt", "vtt"):
        from hftrain.corpus.transcripts import transcript

        text = transcript(text)
    return {text_column: text}


def _seekable(file: io.BufferedReader, name: str) -> BinaryIO:
    """The file itself, or all that it unpacks to."""
    if isinstance(file.raw, io.FileIO):
        return file
    data = file.read(LARGEST_BOOK_BYTES + 1)
    if len(data) > LARGEST_BOOK_BYTES:
        raise UnreadableError(f"unpacks to more than {LARGEST_BOOK_BYTES:,} bytes; unpack it first")
    return io.BytesIO(data)


def _lines(file: BinaryIO, told: Callable[[str], None]) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line; a line that is too long is told and passed over in small pieces.

    Lines end at LF alone: JSON strings may hold U+2028 and the like as they are.
    """
    number = 0
    while line := file.readline(LARGEST_ROW_BYTES + 1):
        number += 1
        if len(line) > LARGEST_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(PASSED_BYTES)
            told(f"line {number} is longer than {LARGEST_ROW_BYTES:,} bytes")
        else:
            yield number, line


def _json_lines(file: BinaryIO, source: Source) -> Records:
    for number, line in _lines(file, source.count_broken):
        try:
            record = parsed(line.decode())
        except (ValueError, RecursionError) as error:  # of JSON and of UTF-8 alike
            if line.strip():
                source.count_broken(f"line {number} is not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            source.count_broken(f"line {number} is JSON but not an object")


def _csv_rows(file: io.BufferedReader, source: Source) -> Records:
    stream, source.encoding = as_utf_8(file)
    csv.field_size_limit(LARGEST_ROW_BYTES)
    lines = _CsvLines(stream, source)
    rows = csv.reader(lines, strict=True)
    number = 0
    try:
        header = next(rows, None)
        if header is None:
            return
        while (row := lines.next_row(rows)) is not None:
            if not row:
                continue
            number += 1
            if lines.is_cut:
                source.count_broken(f"row {number} lacks its line that is too long")
            elif len(row) != len(header):
                source.count_broken(f"row {number} has another number of fields than the header")
            else:
                yield number, dict(zip(header, row, strict=True))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 after row {number} ({error.reason})") from error
    except csv.Error as error:
        raise UnreadableError(f"not CSV after row {number}: {error}") from error


class _CsvLines:
    """The lines of a CSV file, and whether the row that takes them misses one."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        # Not io.TextIOWrapper: it decodes ahead, so that an error would also cost the rows before it.
        self._lines = _lines(file, self._skip)
        self._source = source
        self._has_begun = False
        self.is_cut = False

    def __iter__(self) -> Iterator[str]:
        for _, line in self._lines:
            self._has_begun = True
            yield line.decode()

    def next_row(self, rows: Iterator[list[str]]) -> list[str] | None:
        self._has_begun = self.is_cut = False
        return next(rows, None)

    def _skip(self, reason: str) -> None:
        self.is_cut = self._has_begun
        self._source.count_broken(reason)


def _parquet_rows(path: Path) -> Records:
    try:
        with pq.ParquetFile(path, buffer_size=PASSED_BYTES, pre_buffer=False) as file:
            about = file.metadata
            size_bytes = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            batch_rows = PARQUET_BATCH_BYTES // max(1, size_bytes // max(1, about.num_rows))
            first = 1
            for batch in file.iter_batches(batch_size=min(max(1, batch_rows), MOST_PARQUET_BATCH_ROWS)):
                names = batch.schema.names
                columns = [column.to_pylist() for column in batch.columns]
                for number, values in enumerate(zip(*columns, strict=True), start=first):
                    yield number, dict(zip(names, values, strict=True))
                first += batch.num_rows
    except pa.ArrowException as error:
        raise UnreadableError(f"not parquet: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
