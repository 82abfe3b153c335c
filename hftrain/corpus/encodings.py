"""Bytes as text: UTF-8, what a byte order mark says, or what the text itself looks like.

Decoding is strict throughout: text that would come out with holes in it is reported, not read.
"""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from hftrain.corpus.accounts import NotTextError, UnreadableError
from hftrain.corpus.compression import PieceStream

UTF_8 = "utf-8"
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

NOT_ASCII = bytes(range(128, 256))

SAMPLE_BYTES = 1 << 16
SAMPLE_BEFORE_BYTES = 256
SAMPLED_BYTES = 1 << 22
"""A sample is the lines with letters outside ASCII from so long a piece of the text."""

SHORTEST_SAMPLE_BYTES = 32
"""In fewer bytes, any of a dozen encodings makes some sense."""

CANDIDATES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2",
    "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "cp866", "mac_roman", "mac_cyrillic", "cp874", "cp932",
    "euc_jp", "cp949", "gb18030", "big5hkscs",
]  # fmt: skip
"""The encodings in which old text is found. Source: https://encoding.spec.whatwg.org/#names-and-labels, less the
ISO 8859 parts that a code page of Windows contains or that hardly anyone wrote in."""

LOOK_LIKE_WESTERN = frozenset({"cp1250", "cp1257"})
"""They differ from cp1252 in a few letters: chosen only where cp1252 is impossible, as browsers do."""


def decoded(data: bytes, *, declared: str | None = None) -> tuple[str, str]:
    """A text and the name of its encoding.

    Args:
        data: The whole of the text.
        declared: What its origin says, such as the charset of a page; asked after UTF-8, which is never met by chance.

    Raises:
        UnreadableError: This is no text, or none that can be decoded without loss.
    """
    for mark, name in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], name), name
    zero = data.find(b"\0")
    if zero >= 0:
        raise NotTextError(f"not text: a NUL byte at byte {zero}")
    try:
        return data.decode(UTF_8), UTF_8
    except UnicodeDecodeError as error:
        first_bad = error.start
    if declared and (text := _as_declared(data, declared)) is not None:
        return text, declared
    _refuse_damaged_utf_8(data, first_bad)
    name = _detected(data, first_bad)
    return _strictly(data, name), name


def as_marked(file: io.BufferedReader) -> tuple[BinaryIO, str | None]:
    """A stream as UTF-8 if a byte order mark says what it is in, and the name of that; else as it is, and None."""
    head = file.peek(SAMPLE_BYTES)
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            file.read(len(mark))
            return (file, name) if name == UTF_8 else (_recoded(file, name), name)
    return file, None


def as_utf_8(file: io.BufferedReader) -> tuple[BinaryIO, str]:
    """A stream of text as a stream of UTF-8 without a byte order mark, and the name of its encoding.

    Only the beginning is looked at; a stream of UTF-8 is passed on as it is.

    Raises:
        UnreadableError: The beginning is no text, or none that can be decoded without loss.
    """
    stream, marked = as_marked(file)
    if marked:
        return stream, marked
    head = file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES]
    zero = head.find(b"\0")
    if zero >= 0:
        raise NotTextError(f"not text: a NUL byte at byte {zero}")
    try:
        codecs.getincrementaldecoder(UTF_8)().decode(head)
    except UnicodeDecodeError as error:
        _refuse_damaged_utf_8(head, error.start)
        name = _detected(head, error.start)
        return _recoded(file, name), name
    return file, UTF_8


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not {encoding.upper()} at byte {error.start} ({error.reason})") from error


def _as_declared(data: bytes, declared: str) -> str | None:
    try:
        text = data.decode(declared)
    except (LookupError, ValueError):
        return None
    return text if isinstance(text, str) else None


def _refuse_damaged_utf_8(data: bytes, first_bad: int) -> None:
    """Other encodings hardly ever give valid sequences of UTF-8: where most are, it was UTF-8 once."""
    text = data.decode(UTF_8, "replace")
    damaged = text.count("\ufffd")
    ascii_bytes = len(data.translate(None, delete=NOT_ASCII))
    characters = len(text) - ascii_bytes - damaged
    if characters > damaged:
        raise UnreadableError(
            f"not UTF-8 at byte {first_bad}: damaged there, for {characters} other characters of it are sound"
        )


def _detected(data: bytes, first_bad: int) -> str:
    from charset_normalizer import from_bytes

    if len(data) < SHORTEST_SAMPLE_BYTES:
        raise UnreadableError(f"not UTF-8 at byte {first_bad}, and too short to tell another encoding by")
    begin = max(0, first_bad - SAMPLE_BEFORE_BYTES)
    telling = [line for line in data[begin : begin + SAMPLED_BYTES].split(b"\n") if not line.isascii()]
    found = from_bytes(b"\n".join(telling)[:SAMPLE_BYTES], cp_isolation=CANDIDATES)
    best = found.best()
    if best is None:
        raise NotTextError(f"not UTF-8 at byte {first_bad}, nor plausible in another encoding")
    if best.encoding in LOOK_LIKE_WESTERN and any("cp1252" in match.could_be_from_charset for match in found):
        return "cp1252"
    return str(best.encoding)


def _recoded(file: io.BufferedReader, encoding: str) -> BinaryIO:
    return io.BufferedReader(PieceStream(_utf_8_pieces(file, encoding)), SAMPLE_BYTES)


def _utf_8_pieces(file: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while data := file.read1(SAMPLE_BYTES):
            if piece := decoder.decode(data):
                yield piece.encode(UTF_8, "surrogatepass")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not {encoding.upper()} to its end ({error.reason})") from error
