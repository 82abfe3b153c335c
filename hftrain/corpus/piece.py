"""A piece of the documents that a run would collect: some of their files, drawn until the time is up."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.corpus import docstrings, installed_docs, places, workers
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.records import Row, document_row
from hftrain.corpus.storage import DOCUMENT_FEATURES, write_rows

COMPRESSED = 4
"""Assumed bytes of text in a byte of a compressed file or a parquet one."""


@dataclass(frozen=True)
class Piece:
    """How much of the whole was read, and what that took in one process."""

    share: float
    """Of the bytes of all files."""
    seconds: float
    text_bytes: int
    documents: int
    processes: int
    """How many the stage would read with."""


@dataclass(frozen=True)
class _Unit:
    """A file, or what can only be read whole."""

    bytes: int
    open: Callable[[], Iterator[Row]]
    text_share: float = 1.0
    """Bytes of a file in a byte of its text, for a file that is read in part."""


def write_piece(
    folder: Path, entries: Sequence[str], *, text_column: str, license: str | None, seconds: float
) -> Piece:
    """Write documents of files in a shuffled order to ``folder`` until the time is up; each kind of place has its part.

    Args:
        folder: Where they go.
        entries: Places of documents, see ``places``; those on the Hub are passed over.
        text_column: The field of a row that holds a document's text.
        license: Of rows that state none.
        seconds: When to stop.
    """
    units = [unit for entry in entries for unit in _units(entry, text_column, license)]
    random.Random(0).shuffle(units)
    whole, read, text, began = sum(unit.bytes for unit in units), 0.0, 0, time.monotonic()

    def rows() -> Iterator[Row]:
        nonlocal read, text
        for unit in units:
            here = 0
            for row in unit.open():
                here += len(str(row["text"]).encode())
                yield row
                if time.monotonic() - began > seconds:
                    break
            else:
                read, text = read + unit.bytes, text + here
                if time.monotonic() - began <= seconds:
                    continue
                return
            read, text = read + min(unit.bytes, here * unit.text_share), text + here
            return

    documents = write_rows(folder, rows(), DOCUMENT_FEATURES)
    spent = time.monotonic() - began
    many = any(places.is_installed_docs(entry) for entry in entries) and len(units) >= installed_docs.FEWEST_FILES
    return Piece(read / max(whole, 1), spent, text, documents, workers.cpu_count() if many else 1)


def _units(entry: str, text_column: str, license: str | None) -> Iterator[_Unit]:
    if places.is_installed_docs(entry):
        for module, distribution in places.packages_of(entry).items():
            package = docstrings.find_package(module, distribution)
            for path in docstrings.python_files(package) if package else []:
                yield _Unit(path.stat().st_size, lambda package=package, path=path: _documented(package, path))  # type: ignore[misc]
    elif entry.startswith(places.CODE):
        tree = places.parse_code(entry).tree
        size = sum(path.stat().st_size for path in Path(tree).rglob("*") if path.is_file())
        yield _Unit(size, lambda: Gathering(text_column, license).documents([entry]))
    elif not entry.startswith(places.HUB):
        place = Path(entry)
        for path in places.readable_files(place) if place.is_dir() else [place]:
            packed = path.suffix in (".parquet", ".gz", ".zst", ".epub", ".pdf")
            yield _Unit(
                path.stat().st_size,
                lambda path=path: Gathering(text_column, license).documents([str(path)]),  # type: ignore[misc]
                1 / COMPRESSED if packed else 1.0,
            )


def _documented(package: docstrings.InstalledPackage, path: Path) -> Iterator[Row]:
    (read,) = installed_docs.read_files((package, [path]))
    for number, documented in enumerate(read.texts, start=1):
        record = {"text": documented.text, "module": documented.name}
        row = document_row(
            record, number=number, source=package.module, text_column="text", license=package.license
        )  # fmt: skip
        if row is not None:
            yield row
