"""Boilerplate: lines that many documents of one site begin or end with, such as menus, notices and credits.

A line is boilerplate of a site if it stands among the ``EDGE_LINES`` first or last lines of at least
``minimum_documents`` of its documents, and of at least ``minimum_share`` of them. It is cut out there where it is part
of an unbroken run of such lines that begins or ends the document, or is ``RUN_LINES`` long, as a menu below a title
is; and nowhere else: "Yes." in a story, or "Parameters" below the first line of a manual's page, is what they say.

Lines are counted exactly, in two passes: the first writes a number for each line at an edge to disk once the
memory for them is full, and then counts one part of all numbers at a time.

Source: Text::Identify::BoilerPlate, https://metacpan.org/pod/Text::Identify::BoilerPlate (whole lines, in runs at the
beginning and end of documents alone); the counts are ours.

Shape legend: D documents, E lines at edges, K different lines, N sites.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Hashes, Integers, Spans, hash_spans, mixed
from hftrain.corpus.line_cuts import Cut, without_lines
from hftrain.errors import ArtifactError

EDGE_LINES = 12
"""Lines with words that are looked at, at either end of a document."""

RUN_LINES = 3

PARTS = 64
HELD_NUMBERS = 8_000_000
"""Numbers of lines that are held in memory before they go to disk: 8 bytes each."""

LINES_FILE = "lines.npy"
ABOUT_FILE = "boilerplate.json"

Site = str | None


def site_of(row: Mapping[str, str]) -> Site:
    """What a document's lines are compared within: its web site if it has one, else its source; none for code.

    Args:
        row: With ``source``, and ``meta`` as a JSON object.
    """
    meta = row["meta"]
    if '"domain"' not in meta and '"language"' not in meta:
        return row["source"]
    about = json.loads(meta)
    if "language" in about and "path" in about:
        return None  # the first lines of many source files are the same imports
    return str(about.get("domain") or row["source"])


def line_numbers(batch: Batch, sites: Sequence[Site]) -> Hashes:
    """A number for each different line at an edge of each document; equal for equal lines of one site."""
    edge = _edge_lines(batch, sites)
    numbers = _numbers(batch, edge, sites)
    order = numpy.lexsort((numbers, edge.documents_E))
    numbers, documents = numbers[order], edge.documents_E[order]
    again = (numbers[1:] == numbers[:-1]) & (documents[1:] == documents[:-1])
    return numbers[numpy.append(True, ~again)[: len(numbers)]]


class LineCounts:
    """The first pass: counts in how many documents of its site each line stands at an edge."""

    def __init__(self, folder: Path) -> None:
        """``folder`` takes what memory does not hold: at most 192 bytes a document."""
        self._folder = folder
        self._held: list[Hashes] = []
        self._held_count = 0
        self._is_on_disk = False
        self._documents: Counter[str] = Counter()

    def add(self, numbers: Hashes, sites: Sequence[Site]) -> None:
        """Add what ``line_numbers`` gave for some documents, here or in another process, and their sites."""
        self._documents.update(site for site in sites if site is not None)
        self._held.append(numbers)
        self._held_count += len(numbers)
        if self._held_count > HELD_NUMBERS:
            self._spill()

    def boilerplate(self, minimum_documents: int, minimum_share: float) -> "Boilerplate":
        """The lines that stand in enough documents of their site; what lies on disk is removed."""
        found = [numpy.unique(part, return_counts=True) for part in self._parts()]
        lines = numpy.concatenate([numbers[counts >= minimum_documents] for numbers, counts in found])
        often = numpy.concatenate([counts[counts >= minimum_documents] for _, counts in found])
        return Boilerplate(lines, often, dict(self._documents), minimum_documents, minimum_share)

    def _spill(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        numbers = numpy.sort(numpy.concatenate([*self._held, numpy.empty(0, numpy.uint64)]))
        width = 2**64 // PARTS
        bounds = numpy.searchsorted(numbers, numpy.array([part * width for part in range(PARTS)], numpy.uint64))
        for part, piece in enumerate(numpy.split(numbers, bounds[1:])):
            with (self._folder / f"lines-{part:02}.bin").open("ab" if self._is_on_disk else "wb") as file:
                file.write(piece.tobytes())
        self._held, self._held_count, self._is_on_disk = [], 0, True

    def _parts(self) -> Iterator[Hashes]:
        if not self._is_on_disk:
            yield numpy.concatenate([*self._held, numpy.empty(0, numpy.uint64)])
            return
        self._spill()
        for part in range(PARTS):
            path = self._folder / f"lines-{part:02}.bin"
            yield numpy.fromfile(path, numpy.uint64)
            path.unlink()


@dataclass(frozen=True)
class Boilerplate:
    """The second pass: knows which lines to cut out."""

    lines_K: Hashes
    """Numbers of lines, sorted."""
    documents_K: Integers
    """In how many documents each stands."""
    documents: Mapping[str, int]
    """Documents of each site."""
    minimum_documents: int
    minimum_share: float

    def cut(self, batch: Batch, sites: Sequence[Site]) -> list[Cut]:
        """The documents without the boilerplate of their sites; one ``Cut`` each."""
        edge = _edge_lines(batch, sites)
        numbers = _numbers(batch, edge, sites)
        places = numpy.searchsorted(self.lines_K, numbers)
        known = places < len(self.lines_K)
        known[known] = self.lines_K[places[known]] == numbers[known]
        least = [max(self.minimum_documents, self.minimum_share * self.documents.get(site or "", 0)) for site in sites]
        known[known] = self.documents_K[places[known]] >= numpy.array(least)[edge.documents_E[known]]
        return without_lines(batch, edge.lines_E[known][_in_runs(edge, known)])

    def save(self, folder: Path) -> None:
        """Write it, for ``load`` in other processes; same lines, same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        numpy.save(folder / LINES_FILE, numpy.stack([self.lines_K, self.documents_K.astype(numpy.uint64)]))
        about = {
            "documents": dict(sorted(self.documents.items())),
            "minimum_documents": self.minimum_documents,
            "minimum_share": self.minimum_share,
        }
        (folder / ABOUT_FILE).write_text(json.dumps(about), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what ``save`` wrote.

        Raises:
            ArtifactError: There is nothing of the kind in the folder.
        """
        try:
            about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
            lines, counts = numpy.load(folder / LINES_FILE)
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no boilerplate lines ({error}). Needed: what Boilerplate.save wrote. Count them anew."
            ) from error
        return cls(lines, counts.astype(numpy.int64), **about)


@dataclass(frozen=True)
class _EdgeLines:
    """Lines with words at the edges of documents."""

    lines_E: Integers
    """Places among the lines of the batch, in order."""
    documents_E: Integers
    order_E: Integers
    """Places among the lines with words."""
    is_outermost_E: NDArray[numpy.bool_]
    """Whether it is the first or last of its document."""


def _edge_lines(batch: Batch, sites: Sequence[Site]) -> _EdgeLines:
    lines = numpy.flatnonzero(numpy.diff(batch.line_words))
    offsets = numpy.searchsorted(lines, batch.lines.offsets)
    documents = numpy.repeat(numpy.arange(len(batch)), numpy.diff(offsets))
    order = numpy.arange(len(lines))
    from_edge = numpy.minimum(order - offsets[documents], offsets[documents + 1] - 1 - order)
    has_site = numpy.array([site is not None for site in sites], bool)
    chosen = (from_edge < EDGE_LINES) & has_site[documents]
    return _EdgeLines(lines[chosen], documents[chosen], order[chosen], from_edge[chosen] == 0)


def _in_runs(edge: _EdgeLines, known_E: NDArray[numpy.bool_]) -> NDArray[numpy.bool_]:
    """Which of the known lines are in a run that is cut."""
    order, documents = edge.order_E[known_E], edge.documents_E[known_E]
    begins = numpy.append(True, (numpy.diff(order) != 1) | (numpy.diff(documents) != 0))[: len(order)]
    runs = numpy.cumsum(begins) - 1
    is_long = numpy.bincount(runs) >= RUN_LINES
    is_long |= numpy.bincount(runs, edge.is_outermost_E[known_E], len(is_long)) > 0
    return is_long[runs]


def _numbers(batch: Batch, edge: _EdgeLines, sites: Sequence[Site]) -> Hashes:
    """A number for each line, from its first word to its last, and its document's site."""
    starts = batch.words.starts_S[batch.line_words[edge.lines_E]]
    ends = batch.words.ends_S[batch.line_words[edge.lines_E + 1] - 1]
    of_site = {site: _site_number(site) for site in set(sites)}
    site_D = numpy.array([of_site[site] for site in sites], numpy.uint64)
    return mixed(hash_spans(batch.codes_C, Spans(starts, ends, edge.lines_E[:0])) + site_D[edge.documents_E])


def _site_number(site: Site) -> int:
    return int.from_bytes(hashlib.blake2b((site or "").encode(), digest_size=8).digest(), "little")
