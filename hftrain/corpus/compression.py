"""Files as streams of plain bytes: as they are, or decompressed from gzip or Zstandard."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hftrain.corpus.accounts import UnreadableError

SUFFIXES = (".gz", ".zst")

BUFFER_BYTES = 1 << 17
"""Also how far ``peek`` looks ahead."""

ZSTD_BITE_BYTES = 1024
"""Compressed bytes taken at a time. A block of 128 KiB can be 4 bytes long, so that a bite gives 32 MiB at most.
Source: RFC 8878, section 3.1.1.2."""


def uncompressed_name(path: Path) -> str:
    """The file's name in lower case, without the suffix of its compression."""
    name = path.name.lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


@contextmanager
def opened(path: Path) -> Iterator["io.BufferedReader[Any]"]:
    """Open a file for reading; several gzip members or Zstandard frames after each other are one stream.

    Memory stays flat, whatever a file unpacks to: who reads sets the limit.

    Raises:
        UnreadableError: In the block too: the stream is damaged or ends too early.
    """
    name = path.name.lower()
    try:
        with io.BufferedReader(io.FileIO(path), BUFFER_BYTES) as file:
            if name.endswith(".gz"):
                yield io.BufferedReader(PieceStream(_gunzipped(file)), BUFFER_BYTES)
            elif name.endswith(".zst"):
                yield io.BufferedReader(PieceStream(_unzstd(file)), BUFFER_BYTES)
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableError(f"gzip stream is broken: {error}") from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


class PieceStream(io.RawIOBase):
    """A file made of pieces. What fails after a piece fails when all before it has been read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._waiting = memoryview(b"")
        self._failed: Exception | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, but for the end of the file or of what can be read of it."""
        filled = 0
        while filled < len(buffer) and (self._waiting or self._has_more(filled)):
            count = min(len(buffer) - filled, len(self._waiting))
            buffer[filled : filled + count] = self._waiting[:count]
            self._waiting = self._waiting[count:]
            filled += count
        return filled

    def _has_more(self, filled: int) -> bool:
        try:
            if self._failed:
                raise self._failed
            self._waiting = memoryview(next(self._pieces, b""))
        except (UnreadableError, OSError, EOFError, zlib.error) as error:
            self._failed = error
            if not filled:
                raise
        return bool(self._waiting)


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    unzipped = gzip.GzipFile(fileobj=file)
    while piece := unzipped.read1(BUFFER_BYTES):
        yield piece


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """The frames of a Zstandard file. The library's own reader takes a cut frame for a whole one."""
    import zstandard

    frame: Any = None
    bite = file.read(ZSTD_BITE_BYTES)
    try:
        while bite:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if piece := frame.decompress(bite):
                yield piece
            bite = b""
            if frame.eof:
                bite, frame = frame.unused_data, None
            bite = bite or file.read(ZSTD_BITE_BYTES)
    except zstandard.ZstdError as error:
        raise UnreadableError(f"zstd stream is broken: {error}") from error
    if frame:
        raise UnreadableError("zstd stream is broken: it ends within a frame")
