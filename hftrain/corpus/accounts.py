"""What came of each source that was read, and what is too large to be read at all."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hftrain.corpus.records import storable
from hftrain.files import digest_file, digest_value

LARGEST_TEXT_BYTES = 64_000_000
"""One document, held in memory whole; more than this is a corpus in one file."""

LARGEST_ROW_BYTES = 64_000_000
"""One line of JSON Lines or CSV; a longer one is passed over without being held."""

LARGEST_BOOK_BYTES = 512_000_000
"""A .pdf or .epub file: both are read by jumping about in them, compressed ones from memory."""


class UnreadableError(Exception):
    """A file cannot be read, or not to its end; the message says why. Caught by ``gathering``."""


class NotTextError(UnreadableError):
    """These bytes are no text in any encoding."""


@dataclass
class Source:
    """One file, package, source tree or Hub data set, and what came of it: a line of sources.jsonl."""

    name: str
    kind: str
    """``documents`` or ``conversations``: what it was read as."""
    license: str | None = None
    """The source's licence where it states one for all its records."""
    sha256: str | None = None
    version: str | None = None
    encoding: str | None = None
    """How its text was encoded: ``utf-8``, or what was declared or detected."""
    bytes: int = 0
    documents: int = 0
    """Rows it gave."""
    empty: int = 0
    """Records without text, or conversations without an answer."""
    broken: int = 0
    """Lines, pages or files in it that are not records."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Reason -> how many of its records or files are of a kind that is not read."""
    unreadable: str | None = None
    """Why it could not be read, or not to its end; for broken records, the first of them."""

    def as_row(self) -> dict[str, object]:
        """This account as JSON."""
        row = asdict(self) | {"passed_over": dict(self.passed_over)}
        return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}

    def count_broken(self, reason: str) -> None:
        """Note one record that is broken; those after it are read all the same."""
        self.broken += 1
        self.unreadable = self.unreadable or reason

    def pass_over(self, reason: str, count: int = 1) -> None:
        """Note records that are sound, but of a kind that is not read."""
        self.passed_over[reason] += count


def digest_of_files(paths: Iterable[Path], folder: Path) -> str:
    """One digest over the names and contents of files in a folder; for one that cannot be read, the reason."""
    return digest_value([[path.relative_to(folder).as_posix(), digest_or_reason(path)] for path in paths])


def digest_or_reason(path: Path) -> str:
    """The digest of a file, or why it cannot be read."""
    try:
        return digest_file(path)
    except OSError as error:
        return f"unreadable: {error.strerror or error}"
