"""Where a corpus comes from: the entries of ``collect.text`` and ``collect.conversations``.

    installed-docs, chatterbot       embedded: part of the installation, no download
    installed-docs/networkx          the documentation of one package
    tales/, book.epub, rows.jsonl.gz a folder or file
    code:project/                    a tree of source code; code:project/?python,rust reads those languages
    hub:owner/name@REVISION          a data set of the Hugging Face Hub at a fixed commit
    hub:owner/name@REVISION:SPLIT    one of its splits; ``train[:50000]`` reads so many rows
    hub:owner/name@REVISION:CONFIG:SPLIT

What can be read, by the end of its name; all but .parquet also with .gz or .zst after it:

    .txt .md .html .htm .xhtml .pdf .srt .vtt     one document a file
    .epub                                         one a chapter
    .warc                                         one a page
    .jsonl .ndjson .csv .parquet                  one a row

Nothing here reads data or imports anything heavy: configurations are checked with it.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.corpus import docstrings, source_trees
from hftrain.corpus.accounts import digest_of_files, digest_or_reason
from hftrain.errors import ConfigError
from hftrain.files import digest_value

INSTALLED_DOCS = "installed-docs"
CHATTERBOT = "chatterbot"
CHATTERBOT_DISTRIBUTION = "chatterbot-corpus"
HUB = "hub:"

CODE = "code:"

TABLES = re.compile(r"\.((jsonl|ndjson|csv)(\.(gz|zst))?|parquet)$", re.IGNORECASE)
READABLE = re.compile(
    r"\.((jsonl|ndjson|csv|txt|md|html?|xhtml|pdf|epub|srt|vtt|warc)(\.(gz|zst))?|parquet)$", re.IGNORECASE
)
READABLE_TABLES_ARE = ".jsonl .ndjson .csv (each also .gz or .zst) or .parquet"
READABLE_ARE = f".txt .md .html .htm .xhtml .pdf .epub .srt .vtt .warc {READABLE_TABLES_ARE}"
ABOUT_THE_DATA = re.compile(r"(readme|licen[cs]e|notice|copying|source)(\.[a-z]+)*$", re.IGNORECASE)
HUB_ENTRY = re.compile(
    r"hub:(?P<repo>[\w.-]+(/[\w.-]+)?)@(?P<revision>[0-9a-f]{40})"
    r"(:(?P<config>[\w.-]+))??(:(?P<split>\w[\w.-]*)(\[:(?P<rows>[1-9]\d*)\])?)?"
)


@dataclass(frozen=True)
class HubPlace:
    """A data set of the Hub at one revision."""

    repo: str
    revision: str
    config: str | None
    split: str
    first_rows: int | None
    """How many rows are read, from the beginning; None for all."""


@dataclass(frozen=True)
class CodePlace:
    """A tree of source code."""

    tree: Path
    languages: tuple[str, ...]
    """Those that are read; none for all."""


def parse_code(entry: str) -> CodePlace:
    """Read a ``code:`` entry.

    Raises:
        ConfigError: It names a language that is not known, or no folder.
    """
    path, asked, named = entry.removeprefix(CODE).rpartition("?")
    if not asked:
        path, named = named, ""
    languages = tuple(filter(None, (name.strip().lower() for name in named.split(","))))
    unknown = [name for name in languages if name not in source_trees.LANGUAGES]
    if unknown or (asked and not languages):
        raise ConfigError(
            f"{entry!r}: {', '.join(unknown) or 'nothing'} after '?' is no language that is known. Needed: "
            f"{CODE}FOLDER, or {CODE}FOLDER?LANGUAGE,LANGUAGE of {', '.join(source_trees.LANGUAGES)}. Mend the name."
        )
    if not path:
        raise ConfigError(f"{entry!r}: names no folder. Needed: {CODE}FOLDER. Name one.")
    return CodePlace(Path(path), languages)


def parse_hub(entry: str) -> HubPlace:
    """Read a ``hub:`` entry.

    Raises:
        ConfigError: The revision is missing or is not a full commit hash, or the form is another.
    """
    found = HUB_ENTRY.fullmatch(entry)
    if not found:
        raise ConfigError(
            f"{entry!r}: not a fixed data set. Needed: hub:owner/name@REVISION with the 40 hex "
            "digits of a commit, then optionally :split, :split[:ROWS] or :config:split. Copy the "
            "commit from the data set's page under 'Files', 'History'."
        )
    return HubPlace(
        found["repo"],
        found["revision"],
        found["config"],
        found["split"] or "train",
        int(found["rows"]) if found["rows"] else None,
    )


def is_installed_docs(entry: str, embedded: str = INSTALLED_DOCS) -> bool:
    """Whether an entry asks for ``installed-docs``, or for ``installed-docs/PACKAGE``."""
    return embedded == INSTALLED_DOCS == entry.partition("/")[0]


def packages_of(entry: str) -> dict[str, str]:
    """Module -> distribution of the packages that such an entry names; none if it is not known."""
    module = entry.partition("/")[2]
    known = docstrings.PACKAGES
    return {name: known[name] for name in known if module in ("", name)}


def readable_files(folder: Path, *, tables_only: bool = False) -> list[Path]:
    """The files of a folder that can be read, in the order of their relative names.

    Links are not followed, hidden files are passed over. Beside tables, a README, LICENSE, NOTICE
    or SOURCE is about the data, not of it, and is passed over too.
    """
    found: list[str] = []
    root = os.fspath(folder)
    for parent, subfolders, names in os.walk(root, followlinks=False):
        inner = "" if parent == root else os.path.relpath(parent, root).replace(os.sep, "/") + "/"
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        readable = [name for name in names if READABLE.search(name) and not name.startswith(".")]
        has_tables = any(TABLES.search(name) for name in readable)
        for name in readable:
            is_about = has_tables and not TABLES.search(name) and ABOUT_THE_DATA.match(name)
            if not is_about and (TABLES.search(name) or not tables_only):
                found.append(inner + name)
    paths = [os.path.join(root, name) for name in sorted(found)]
    return [Path(path) for path in paths if os.path.isfile(path) and not os.path.islink(path)]


def problems_of(field: str, entries: Sequence[str], embedded: str, *, tables_only: bool = False) -> list[str]:
    """What is wrong with the entries of a field, each as a full sentence."""
    problems = []
    for entry in entries:
        if entry.startswith(HUB):
            try:
                parse_hub(entry)
            except ConfigError as error:
                problems.append(f"{field}: {error}")
        elif entry.startswith(CODE) and not tables_only:
            problems += _code_problems(field, entry)
        elif entry == embedded or is_installed_docs(entry, embedded):
            problems += _embedded_problems(field, entry)
        else:
            trees = "" if tables_only else f"{CODE}FOLDER, "
            needed = f"{embedded!r}, a file, a folder, {trees}or hub:owner/name@REVISION"
            problems += _path_problems(field, entry, needed, tables_only)
    return problems


def path_problems(field: str, entries: Sequence[str]) -> list[str]:
    """The same for entries that are files and folders alone."""
    return [problem for entry in entries for problem in _path_problems(field, entry, "a file or a folder", False)]


def outside_of(entries: Sequence[str]) -> dict[str, str]:
    """What the entries stand for today: name -> digest of contents, version, or revision."""
    found: dict[str, str] = {}
    for entry in entries:
        if is_installed_docs(entry):
            packages = packages_of(entry).values()
            versions = {name: docstrings.package_version(name) for name in packages}
            found[entry] = digest_value(versions)
        elif entry == CHATTERBOT:
            version = docstrings.package_version(CHATTERBOT_DISTRIBUTION)
            found[f"package {CHATTERBOT_DISTRIBUTION}"] = version or "not installed"
        elif entry.startswith(HUB):
            found[entry.split("@")[0]] = entry.partition("@")[2]
        elif entry.startswith(CODE):
            place = parse_code(entry)
            name = ",".join((CODE + _short_name(place.tree), *place.languages))
            found[_unused(name, found)] = source_trees.digest_of_tree(place.tree, place.languages)
        else:
            path = Path(entry)
            digest = digest_of_files(readable_files(path), path) if path.is_dir() else digest_or_reason(path)
            found[_unused(_short_name(path), found)] = digest
    return found


def _embedded_problems(field: str, entry: str) -> list[str]:
    if is_installed_docs(entry) and not packages_of(entry):
        return [
            f"{field}: {entry} is not one of the packages whose documentation is read. Needed: "
            f"{INSTALLED_DOCS}, or {INSTALLED_DOCS}/ with one of {', '.join(docstrings.PACKAGES)}. Mend the name."
        ]
    if entry == CHATTERBOT and docstrings.package_version(CHATTERBOT_DISTRIBUTION) is None:
        return [
            f"{field}: {CHATTERBOT!r} needs the package {CHATTERBOT_DISTRIBUTION}, which is not "
            f"installed. Run: pip install {CHATTERBOT_DISTRIBUTION}"
        ]
    return []


def _code_problems(field: str, entry: str) -> list[str]:
    try:
        place = parse_code(entry)
    except ConfigError as error:
        return [f"{field}: {error}"]
    if not place.tree.is_dir():
        return [
            f"{field}: {entry} is not a folder (looked in {Path.cwd()}). Needed: {CODE} and the folder of a source "
            "tree. Mend the path."
        ]
    if all(file.passed_over for file in source_trees.files_of(place.tree, place.languages)):
        asked = ", ".join(place.languages) or f"any of {', '.join(source_trees.LANGUAGES)}"
        return [f"{field}: the folder {entry} holds no source code. Needed: files in {asked}. Name another."]
    return []


def _path_problems(field: str, entry: str, needed: str, tables_only: bool) -> list[str]:
    path = Path(entry)
    if os.path.isdir(path):  # pathlib's own raises on names that are too long
        if readable_files(path, tables_only=tables_only):
            return []
        said = f"{field}: the folder {entry} holds nothing readable."
    elif os.path.isfile(path):
        if (TABLES if tables_only else READABLE).search(path.name):
            return []
        said = f"{field}: {entry} is of a kind that is not read."
    elif os.path.exists(path):
        said = f"{field}: {entry} is neither a file nor a folder."
    else:
        return [f"{field}: {entry:.300} does not exist (looked in {Path.cwd()}). Needed: {needed}. Mend the path."]
    kinds = READABLE_TABLES_ARE if tables_only else READABLE_ARE
    return [f"{said} Needed: {kinds}. Convert it, or name another."]


def _short_name(path: Path) -> str:
    """The path as given if relative, else its last two parts: manifests travel, machines differ."""
    return Path(*path.parts[1:][-2:]).as_posix() if path.is_absolute() else path.as_posix()


def _unused(name: str, taken: dict[str, str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
