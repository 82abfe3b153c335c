"""Overlap: runs of words that a document shares with texts that must not be in the corpus.

Benchmark rows and excluded texts are protected items. An item of at least ``ngram_words`` words is known by
each of its runs of so many words, a shorter one by all its words; case, punctuation and line breaks are not
minded. One word changed hides the runs that go over it, and no others: an item of 13 words in which one is
changed is not found, one of 40 is.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165, appendix C: 13 words,
lower-cased, without punctuation; shorter items as a whole, from 8 words on. Other than there, a run that many
documents share is a match like any other.

Shape legend: G runs of the protected items, D documents, W words, P places where a run may begin, T bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy
from numpy.typing import NDArray

from hftrain.corpus.accounts import Source, UnreadableError
from hftrain.corpus.batches import Batch, Hashes, Integers, in_batches, window_hashes_at, window_starts
from hftrain.corpus.places import readable_files
from hftrain.corpus.readers import records_in
from hftrain.errors import ArtifactError, ConfigError

NGRAM_WORDS = 13
MINIMUM_WORDS = 8
Items = NDArray[numpy.int32]

FIELD_WORDS = 5
"""Fields of a row with fewer words, such as its id or label, are not items."""

SAID_CHARS = 200
BITS_PER_RUN = 32
"""Of the words with which no protected run begins, one in 32 to 64 is looked up in vain."""

INDEX_FILE = "overlap.json"


@dataclass(frozen=True)
class Match:
    """What a document shares with protected items."""

    document: int
    """Its place in the batch."""
    origin: str
    """Which item the first shared words are of, such as ``gsm8k.jsonl row 17``."""
    said: str
    """The first shared words, as they stand in the document."""
    start: int
    """The character where they begin."""
    runs: int
    """How many of the document's word runs are protected."""

    def detail(self) -> str:
        """A sentence about the match, for the account of what was dropped."""
        said = " ".join(self.said[: SAID_CHARS + 1].split())
        said = said if len(self.said) <= SAID_CHARS else said[:SAID_CHARS].rpartition(" ")[0] + " …"
        more = f", one of {self.runs:,} shared runs of words" if self.runs > 1 else ""
        return f"{said!r} is in {self.origin}{more}"


class OverlapIndex:
    """Knows the word runs of protected items; ``build`` or ``load`` one."""

    def __init__(self, table: "_Table", runs: Mapping[int, tuple[Hashes, Items]], origins: Sequence[str]) -> None:
        """Take them as they are.

        Args:
            table: Knows the first words of all runs.
            runs: Words of a run -> the numbers of all such runs, sorted, and for each the item it is of.
            origins: What each item is called.
        """
        self._table = table
        self._runs = {size: runs[size] for size in sorted(runs)}
        self._origins = origins

    def __len__(self) -> int:
        """How many different word runs are protected."""
        return sum(len(numbers) for numbers, _ in self._runs.values())

    @classmethod
    def build(
        cls, items: Iterable[tuple[str, str]], *, ngram_words: int = NGRAM_WORDS, minimum_words: int = MINIMUM_WORDS
    ) -> tuple[Self, "Built"]:
        """Index items, each given as what it is called and its text.

        Memory: 16 bytes a word of the items, and four times that while the index is made.
        """
        prefix_words = min(minimum_words, ngram_words)
        gathered: dict[int, list[tuple[Hashes, Items]]] = {}
        prefixes = [numpy.empty(0, numpy.uint64)]
        origins: list[str] = []
        too_short = 0
        for batch in in_batches(_noting_origins(items, origins)):
            first_item = len(origins) - len(batch)
            too_short += int((batch.words.counts_D < prefix_words).sum())
            for size in range(prefix_words, ngram_words + 1):
                places, documents = _runs_of(batch, size, whole=size < ngram_words)
                if len(places):
                    prefixes.append(window_hashes_at(batch.word_hashes_W, places, prefix_words))
                    numbers = window_hashes_at(batch.word_hashes_W, places, size)
                    gathered.setdefault(size, []).append((numbers, (documents + first_item).astype(numpy.int32)))
        runs = {}
        for size, parts in gathered.items():
            numbers, firsts = numpy.unique(numpy.concatenate([part for part, _ in parts]), return_index=True)
            runs[size] = (numbers, numpy.concatenate([part for _, part in parts])[firsts])
        index = cls(_Table.of(numpy.concatenate(prefixes), prefix_words), runs, origins)
        return index, Built(items=len(origins), too_short=too_short, runs=len(index))

    def save(self, folder: Path) -> None:
        """Write the index, for ``load`` in other processes; same items, same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        numpy.save(folder / "table.npy", self._table.bytes_T)
        for size, (numbers, items) in self._runs.items():
            numpy.save(folder / f"runs_{size}.npy", numbers)
            numpy.save(folder / f"items_{size}.npy", items)
        about = {"prefix_words": self._table.words, "sizes": list(self._runs), "origins": list(self._origins)}
        (folder / INDEX_FILE).write_text(json.dumps(about), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what ``save`` wrote; processes on one machine share the memory of it.

        Raises:
            ArtifactError: There is no index in the folder.
        """
        try:
            about = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            parts = {name: numpy.load(folder / f"{name}.npy", mmap_mode="r") for name in _parts_of(about["sizes"])}
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no index of protected texts ({error}). Needed: what OverlapIndex.save wrote. Build it anew."
            ) from error
        runs = {size: (parts[f"runs_{size}"], parts[f"items_{size}"]) for size in about["sizes"]}
        return cls(_Table(parts["table"], about["prefix_words"]), runs, about["origins"])

    def matches(self, batch: Batch) -> list[Match]:
        """The first shared words of each document that has any, in the order of the documents."""
        perhaps = self._table.perhaps(batch)
        documents_P = numpy.searchsorted(batch.words.offsets, perhaps, side="right") - 1
        left_P = batch.words.offsets[documents_P + 1] - perhaps
        firsts: dict[int, tuple[int, int, int]] = {}
        shared_D = numpy.zeros(len(batch), numpy.int64)
        for size, (numbers_G, items_G) in self._runs.items():
            fits = left_P >= size
            places, documents = perhaps[fits], documents_P[fits]
            numbers = window_hashes_at(batch.word_hashes_W, places, size)
            found = numpy.minimum(numpy.searchsorted(numbers_G, numbers), len(numbers_G) - 1)
            sure = numbers_G[found] == numbers
            places, documents, items = places[sure], documents[sure], items_G[found[sure]]
            shared_D += numpy.bincount(documents, minlength=len(batch))
            for begin in numpy.flatnonzero(numpy.diff(documents, prepend=-1)):
                document, first = int(documents[begin]), int(places[begin])
                last = _end_of_run(places[begin:][documents[begin:] == document]) + size - 1
                if document not in firsts or first < firsts[document][0]:
                    firsts[document] = (first, last, int(items[begin]))
        return [self._match(batch, document, *firsts[document], shared_D) for document in sorted(firsts)]

    def _match(self, batch: Batch, document: int, first: int, last: int, item: int, shared_D: Integers) -> Match:
        return Match(
            document=document,
            origin=self._origins[item],
            said=batch.said(batch.words, first, last),
            start=int(batch.words.starts_S[first] - batch.starts_D[document]),
            runs=int(shared_D[document]),
        )


@dataclass(frozen=True)
class Built:
    """What an index was made of."""

    items: int
    too_short: int
    """Items of fewer than ``minimum_words`` words, which cannot be matched."""
    runs: int


def protected_texts(entries: Sequence[str], *, fields: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield what each protected text is called, and the text: of files, and of all readable files of folders.

    Args:
        entries: Paths of files and folders. A text file is one item, a row of a table one for each of its fields,
            those within lists and objects too.
        fields: Names of the fields that are taken; none given: all of at least ``FIELD_WORDS`` words.

    Raises:
        ConfigError: A file cannot be read to its end, or a row is broken: what is to be kept out must be known.
    """
    for entry in entries:
        path = Path(entry)
        for file in readable_files(path) if path.is_dir() else [path]:
            name = file.relative_to(path.parent).as_posix()
            source = Source(name=name, kind="documents")
            try:
                for number, record in records_in(file, text_column="text", source=source):
                    for text in _texts_of(record, fields):
                        yield f"{name} row {number}", text
            except UnreadableError as error:
                source.count_broken(str(error))
            if source.broken:
                raise ConfigError(
                    f"{file}: {source.unreadable} ({source.broken} broken). What must not be in the corpus has to be "
                    "read to its end. Mend the file, or name another."
                )


def _texts_of(value: object, fields: Sequence[str]) -> Iterator[str]:
    if isinstance(value, str):
        if fields or len(value.split()) >= FIELD_WORDS:
            yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if not fields or name in fields:
                yield from _texts_of(part, ())
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts_of(part, fields)


def _noting_origins(items: Iterable[tuple[str, str]], origins: list[str]) -> Iterator[str]:
    for origin, text in items:
        origins.append(origin)
        yield text


def _runs_of(batch: Batch, size: int, *, whole: bool) -> tuple[Integers, Integers]:
    """Where the runs of so many words begin, and in which document; ``whole``: only those that are all of it."""
    places = window_starts(batch.words.offsets, size)
    documents = numpy.searchsorted(batch.words.offsets, places, side="right") - 1
    if whole:
        is_whole = batch.words.counts_D[documents] == size
        places, documents = places[is_whole], documents[is_whole]
    return places, documents


def _parts_of(sizes: Sequence[int]) -> list[str]:
    return ["table", *(f"{name}_{size}" for size in sizes for name in ("runs", "items"))]


def _end_of_run(places: Integers) -> int:
    """The last of the places that follow one another from the first on."""
    gaps = numpy.flatnonzero(numpy.diff(places) != 1)
    return int(places[gaps[0]] if len(gaps) else places[-1])


@dataclass(frozen=True)
class _Table:
    """Bits that tell most unprotected words at once: set for the first words of each protected run."""

    bytes_T: NDArray[numpy.uint8]
    words: int
    """How many words of a run are looked at."""

    @classmethod
    def of(cls, prefixes_G: Hashes, words: int) -> Self:
        exponent = max(16, (BITS_PER_RUN * len(prefixes_G)).bit_length())
        is_set = numpy.zeros(2**exponent, bool)
        is_set[prefixes_G >> numpy.uint64(64 - exponent)] = True
        return cls(numpy.packbits(is_set, bitorder="little"), words)

    def perhaps(self, batch: Batch) -> Integers:
        """The words of a batch with which a protected run may begin."""
        starts, numbers = batch.word_windows(self.words)
        exponent = len(self.bytes_T).bit_length() + 2
        bits = numbers >> numpy.uint64(64 - exponent)
        within = (bits & numpy.uint64(7)).astype(numpy.uint8)
        return starts[(self.bytes_T[bits >> numpy.uint64(3)] >> within) & 1 == 1]
