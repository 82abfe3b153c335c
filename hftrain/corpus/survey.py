"""What a folder of texts holds, before anything is set: documents, rows, conversations, rankings, source code.

A table's rows are looked at, the first few of each file; other files are told by their names, as `places` does.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.corpus import compression, places, readers, source_trees
from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.conversations import messages_of
from hftrain.errors import DataError

LOOKED_AT_ROWS = 20
COUNTED_ROWS = 1000
CHARS_OF_A_TEXT = 40
"""A field whose values are shorter on average holds names or numbers, no documents."""

RANKED_FIELDS = ({"prompt", "chosen", "rejected"}, {"prompt", "answers", "ranking"}, {"prompt", "answers", "order"})


@dataclass(frozen=True)
class Survey:
    """What was found, in the words of the configuration."""

    text: tuple[str, ...]
    """For ``collect.text``."""
    conversations: tuple[str, ...]
    """For ``collect.conversations``."""
    conversation_count: int
    """How many there are, counted up to `COUNTED_ROWS` a file."""
    rankings: tuple[str, ...]
    """For ``collect_preferences.rankings``, which takes one."""
    text_column: str
    """For ``collect.text_column``."""
    files: Mapping[str, int]
    """Kind of file -> how many are read."""
    left: Mapping[str, int]
    """Kind of file, or the reason -> how many are not."""


def survey(roots: Sequence[Path]) -> Survey:
    """Look through folders and files.

    Raises:
        DataError: One does not exist, or nothing in them can be read.
    """
    for root in roots:
        if not root.exists():
            raise DataError(f"{root}: does not exist (looked in {Path.cwd()}). A file or a folder is needed. Mend it.")
    looked = [(root, _look(root)) for root in roots]
    tables = {path: kind for _, found in looked for path, kind in found.items() if places.TABLES.search(path.name)}
    columns = Counter(kind.partition(" ")[2] for kind in tables.values() if kind.startswith("text "))
    column = "text" if "text" in columns or not columns else columns.most_common(1)[0][0]
    text: list[str] = []
    talks: list[str] = []
    rankings: list[str] = []
    files: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for root, found in looked:
        named = {path: _place_of(kind, column) for path, kind in found.items()}
        text += _fewest(root, {path for path, place in named.items() if place == "text"})
        talks += _fewest(root, {path for path, place in named.items() if place == "conversations"}, tables_only=True)
        rankings += sorted(path.as_posix() for path, place in named.items() if place == "rankings")
        for path, place in named.items():
            (left if place.startswith("left") else files)[_said(path, place)] += 1
        code = _code_in(root)
        if code:
            text.append(f"{places.CODE}{root.as_posix()}")
            files += code
        left += _unread(root, set(named))
    if not text and not talks:
        raise DataError(
            f"{', '.join(map(str, roots))}: nothing in it can be read. Needed: {places.READABLE_ARE}, or source code. "
            "Name another folder, or convert the files."
        )
    counted = sum(_count(path) for path, kind in tables.items() if kind == "conversations")
    return Survey(tuple(text), tuple(talks), counted, tuple(rankings), column, dict(files), dict(left))


def _look(root: Path) -> dict[Path, str]:
    """What each readable file is: ``document``, ``text FIELD``, ``conversations``, ``rankings``, or why it is left."""
    paths = places.readable_files(root) if root.is_dir() else [root]
    known = [path for path in paths if places.READABLE.search(path.name)]
    return {path: _kind_of_table(path) if places.TABLES.search(path.name) else "document" for path in known}


def _rows(path: Path, most: int) -> Iterator[Mapping[str, object]]:
    records = readers.records_in(path, text_column="text", source=Source(path.as_posix(), "documents"))
    return (row for _, row in itertools.islice(records, most))


def _count(path: Path) -> int:
    return sum(1 for _ in _rows(path, COUNTED_ROWS))


def _kind_of_table(path: Path) -> str:
    try:
        rows = list(_rows(path, LOOKED_AT_ROWS))
    except UnreadableError as error:
        return f"left: {error}"
    if not rows:
        return "left: no rows"
    if any(names <= rows[0].keys() for names in RANKED_FIELDS):
        return "rankings"
    if sum(map(_is_conversation, rows)) > len(rows) / 2:
        return "conversations"
    lengths = {name: _mean_chars(row.get(name) for row in rows) for name in rows[0]}
    longest = max(lengths, key=lambda name: lengths[name])
    if lengths.get("text", 0) >= CHARS_OF_A_TEXT:
        longest = "text"
    return f"text {longest}" if lengths[longest] >= CHARS_OF_A_TEXT else "left: no field of text"


def _is_conversation(row: Mapping[str, object]) -> bool:
    try:
        messages_of(row, "row")
    except DataError:
        return False
    return True


def _mean_chars(values: Iterable[object]) -> float:
    lengths = [len(value) if isinstance(value, str) else 0 for value in values]
    return sum(lengths) / len(lengths)


def _place_of(kind: str, column: str) -> str:
    if kind.startswith("text ") and kind != f"text {column}":
        return f"left: its text is in {kind.partition(' ')[2]!r}, not in {column!r} as elsewhere"
    return "text" if kind == "document" or kind.startswith("text ") else kind


def _said(path: Path, place: str) -> str:
    ending = Path(compression.uncompressed_name(path)).suffix
    if place.startswith("left: "):
        return f"{ending} ({place.removeprefix('left: ')})"
    return ending if place == "text" else f"{ending} of {place}"


def _fewest(root: Path, wanted: set[Path], *, tables_only: bool = False) -> list[str]:
    """The fewest entries, folders where all that is read in them is wanted, that name these files and no other."""
    if not wanted:
        return []
    if root.is_file() or set(places.readable_files(root, tables_only=tables_only)) == wanted:
        return [root.as_posix()]
    entries = []
    for path in sorted(root.iterdir()):
        if path in wanted:
            entries.append(path.as_posix())
        elif path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            entries += _fewest(path, {each for each in wanted if path in each.parents}, tables_only=tables_only)
    return entries


def _code_in(root: Path) -> Counter[str]:
    if not root.is_dir():
        return Counter()
    return Counter(f"{file.language} code" for file in source_trees.files_of(root) if not file.passed_over)


def _unread(root: Path, read: set[Path]) -> Counter[str]:
    """The endings of files that nobody reads."""
    found: Counter[str] = Counter()
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent) / name for name in names if not name.startswith(".")):
            is_known = path in read or source_trees.language_of(path.name) is not None
            if not is_known and not places.ABOUT_THE_DATA.match(path.name):
                found[path.suffix.lower() or path.name] += 1
    return found
