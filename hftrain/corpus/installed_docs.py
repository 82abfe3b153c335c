"""The documentation of installed packages as records: parsed in several processes, given in one order."""

import contextlib
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.corpus import docstrings, workers
from hftrain.corpus.accounts import Source

Piece = tuple[docstrings.InstalledPackage, list[Path]]
Record = tuple[int, Mapping[str, object]]

FILES_AT_ONCE = 16
FEWEST_FILES = 1000
"""With fewer, starting processes takes longer than they save."""


@dataclass(frozen=True)
class ReadFile:
    """What one source file gave."""

    texts: list[docstrings.DocumentedText]
    bytes: int
    broken: str | None
    """Why it could not be parsed."""


def records_of(
    opened: Sequence[tuple[Source, docstrings.InstalledPackage | None]], text_column: str
) -> Iterator[tuple[Source, Iterator[Record]]]:
    """Yield each source and its package's records, which must be taken before the next; no package has none."""
    files = [docstrings.python_files(package) if package else [] for _, package in opened]
    pieces = [
        (package, own[first : first + FILES_AT_ONCE])
        for (_, package), own in zip(opened, files, strict=True)
        for first in range(0, len(own), FILES_AT_ONCE)
        if package
    ]
    many = sum(map(len, files)) >= FEWEST_FILES
    results = _results(pieces, processes=workers.cpu_count() if many else 1)
    with contextlib.closing(results):  # or the processes would stay as long as anything refers to it
        for (source, _), own in zip(opened, files, strict=True):
            yield source, _records(itertools.islice(results, len(own)), source, text_column)


def _results(pieces: list[Piece], processes: int) -> Generator[ReadFile, None, None]:
    with workers.Workers(processes) as pool:
        for read in pool.in_order(read_files, pieces):
            yield from read


def read_files(piece: Piece) -> list[ReadFile]:
    """Parse some files of a package."""
    package, paths = piece
    with docstrings.no_garbage_collection():
        return [_read_file(package, path) for path in paths]


def _read_file(package: docstrings.InstalledPackage, path: Path) -> ReadFile:
    try:
        return ReadFile(list(docstrings.documented_texts(package, path)), path.stat().st_size, None)
    except (SyntaxError, ValueError, RecursionError, OSError) as error:
        return ReadFile([], 0, f"{path.name}: {error}")


def _records(files: Iterator[ReadFile], source: Source, text_column: str) -> Iterator[Record]:
    number = itertools.count(1)
    for file in files:
        source.bytes += file.bytes
        if file.broken:
            source.count_broken(file.broken)
        for documented in file.texts:
            yield next(number), {text_column: documented.text, "module": documented.name}
