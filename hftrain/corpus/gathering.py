"""Read every place a corpus comes from, and account for each file, package and data set of it."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hftrain.corpus import dialogues, docstrings, installed_docs, places, source_trees
from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.conversations import conversation_row
from hftrain.corpus.readers import Records, records_in
from hftrain.corpus.records import Row, document_row, storable
from hftrain.errors import DataError
from hftrain.files import digest_file
from hftrain.runtime import log

DOCUMENTS = "documents"
CONVERSATIONS = "conversations"


@dataclass
class Gathering:
    """Reads entries (see ``places``) as rows; ``sources`` fills as they are read."""

    text_column: str = "text"
    license: str | None = None
    """Of records that state none themselves."""
    sources: list[Source] = field(default_factory=list)

    def documents(self, entries: Sequence[str]) -> Iterator[Row]:
        """Yield the documents of the entries, in their order.

        Raises:
            DataError: A record has no text, or a data set cannot be had.
        """
        for source, records in self._opened(entries, DOCUMENTS):
            convert = functools.partial(
                document_row,
                source=source.name,
                text_column=self.text_column,
                license=source.license or self.license,
            )
            yield from _rows(source, records, convert)

    def conversations(self, entries: Sequence[str]) -> Iterator[Row]:
        """Yield the conversations of the entries, in their order.

        Raises:
            DataError: A record is no conversation, or a data set cannot be had.
        """
        for source, records in self._opened(entries, CONVERSATIONS):
            convert = functools.partial(_conversation, source=source.name, license=source.license or self.license)
            yield from _rows(source, records, convert)

    def _opened(self, entries: Sequence[str], kind: str) -> Iterator[tuple[Source, Records]]:
        for entry in entries:
            if kind == DOCUMENTS and places.is_installed_docs(entry):
                opened = _installed_docs(places.packages_of(entry), self.text_column)
            elif entry == places.CHATTERBOT and kind == CONVERSATIONS:
                opened = _chatterbot()
            elif entry.startswith(places.HUB):
                opened = iter([_hub(entry, kind)])
            elif kind == DOCUMENTS and entry.startswith(places.CODE):
                opened = iter([_code(entry, self.text_column)])
            else:
                opened = self._files(Path(entry), kind)
            for source, records in opened:
                self.sources.append(source)
                yield source, records

    def _files(self, place: Path, kind: str) -> Iterator[tuple[Source, Records]]:
        paths = [place]
        if place.is_dir():
            paths = places.readable_files(place, tables_only=kind == CONVERSATIONS)
        for path in paths:
            name = storable(path.relative_to(place.parent).as_posix())
            source = Source(name, kind)
            try:
                source.sha256, source.bytes = digest_file(path), path.stat().st_size
            except OSError as error:
                source.unreadable = error.strerror or str(error)
                log.warning("%s: not read: %s", name, source.unreadable)
                yield source, iter(())
                continue
            yield source, records_in(path, text_column=self.text_column, source=source)


def _rows(source: Source, records: Records, convert: Callable[..., Row | None]) -> Iterator[Row]:
    """Convert a source's records; an end that cannot be read is noted, what came before it stays."""
    try:
        for number, record in records:
            try:
                row = convert(record, number=number)
            except RecursionError:
                source.count_broken(f"row {number} is nested too deeply")
                continue
            if row is None:
                source.empty += 1
            else:
                source.documents += 1
                yield row
    except UnreadableError as error:
        reason = str(error)
        source.unreadable = f"{source.unreadable}; {reason}" if source.unreadable else reason
    if source.unreadable:
        log.warning(
            "%s: %s (%d rows read, %d broken)",
            source.name,
            source.unreadable,
            source.documents,
            source.broken,
        )


def _conversation(record: Mapping[str, object], *, number: int, source: str, license: str | None) -> Row:
    return conversation_row(record, where=f"{source}, row {number}", source=source, license=license)


def _code(entry: str, text_column: str) -> tuple[Source, Records]:
    place = places.parse_code(entry)
    source = Source(storable(place.tree.resolve().name), DOCUMENTS)
    source.sha256 = source_trees.digest_of_tree(place.tree, place.languages)
    return source, source_trees.code_records(place.tree, place.languages, text_column=text_column, source=source)


def _installed_docs(packages: Mapping[str, str], text_column: str) -> Iterator[tuple[Source, Records]]:
    opened: list[tuple[Source, docstrings.InstalledPackage | None]] = []
    for module, distribution in packages.items():
        source = Source(f"{places.INSTALLED_DOCS}/{module}", DOCUMENTS)
        package = docstrings.find_package(module, distribution)
        if package is None:
            source.unreadable = "not installed"
        else:
            source.license, source.version = package.license, package.version
        opened.append((source, package))
    yield from installed_docs.records_of(opened, text_column)


def _chatterbot() -> Iterator[tuple[Source, Records]]:
    version = docstrings.package_version(places.CHATTERBOT_DISTRIBUTION)
    license = docstrings.package_license(places.CHATTERBOT_DISTRIBUTION)
    for path in dialogues.english_files():
        name = f"{places.CHATTERBOT}/{path.stem}"
        source = Source(name, CONVERSATIONS, license, digest_file(path), version)
        source.bytes = path.stat().st_size
        yield source, _dialogues(path, source)


def _dialogues(path: Path, source: Source) -> Records:
    try:
        for number, record in dialogues.dialogue_records(path):
            if record["messages"]:
                yield number, record
            else:
                source.empty += 1
    except yaml.YAMLError as error:
        raise UnreadableError(f"not YAML: {error}") from error


def _hub(entry: str, kind: str) -> tuple[Source, Records]:
    place = places.parse_hub(entry)
    return Source(place.repo, kind, version=place.revision), _hub_records(place)


def _hub_records(place: places.HubPlace) -> Records:
    """Stream a data set: nothing is kept but the rows asked for."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(place.repo, place.config, split=place.split, revision=place.revision, streaming=True)
        yield from enumerate(itertools.islice(rows, place.first_rows), start=1)
    except (DatasetsError, OSError, ValueError) as error:
        raise DataError(
            f"{places.HUB}{place.repo}@{place.revision}: cannot be read: {error}. The data set, its "
            f"revision and split {place.split!r} must exist and be reachable. Check them on the "
            "Hub, and HF_HUB_OFFLINE, HF_TOKEN and the network here."
        ) from error


def check_found(kind: str, found: int, entries: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse an empty harvest, and say what was looked at.

    Raises:
        DataError: Nothing of this kind was found.
    """
    if found:
        return
    looked = [source for source in sources if source.kind == kind]
    said = "".join(
        f"\n  {source.name}: {source.unreadable or 'no text in it'} ({source.empty} empty rows, "
        f"{source.broken} broken, {source.passed_over.total()} passed over)"
        for source in looked[:20]
    )
    more = f"\n  and {len(looked) - 20} more" if len(looked) > 20 else ""
    raise DataError(
        f"collect: 0 {kind} in {', '.join(entries)}; looked at {len(looked)} sources.{said}{more}\n"
        f"At least one is needed. Mend these, or name other places in collect."
    )


def summary_of(sources: Sequence[Source], documents: int, conversations: int) -> dict[str, int]:
    """The headline numbers of raw/: what was kept, what was read, what could not be."""
    return {
        "documents": documents,
        "documents_read": sum(each.documents for each in sources if each.kind == DOCUMENTS),
        "conversations": conversations,
        "conversations_read": sum(each.documents for each in sources if each.kind == CONVERSATIONS),
        "sources": len(sources),
        "unreadable_sources": sum(each.unreadable is not None for each in sources),
        "empty_rows": sum(each.empty for each in sources),
        "broken_rows": sum(each.broken for each in sources),
        "passed_over": sum(each.passed_over.total() for each in sources),
    }
