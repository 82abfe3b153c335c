"""The passes of curation over all documents: count lines, judge batches, find duplicates."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hftrain.corpus import duplicates, near_duplicates
from hftrain.corpus.batches import BATCH_DOCUMENTS, Batch, Hashes
from hftrain.corpus.boilerplate import Site, line_numbers, site_of
from hftrain.corpus.curator import Curator, Judged, JudgedConversations, Plan
from hftrain.corpus.sieve import Row
from hftrain.corpus.survivors import Survivors
from hftrain.corpus.workers import Workers

EXACT, NEAR = "exact_duplicate", "near_duplicate"

Piece: TypeAlias = pa.RecordBatch | list[Row]

BATCH_BYTES = 1_000_000

_last: tuple[Plan, Curator] | None = None
"""The curator of this process, and what it was made for."""


def repacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about ``BATCH_BYTES`` of text, however they were cut before."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        sizes = pc.binary_length(batch["text"]).to_numpy().cumsum()
        begin = 0
        while begin < batch.num_rows:
            done = int(sizes[begin - 1]) if begin else 0
            end = int(numpy.searchsorted(sizes, done + BATCH_BYTES - size)) + 1
            end = min(end, begin + BATCH_DOCUMENTS - rows, batch.num_rows)
            waiting.append(batch.slice(begin, end - begin))
            rows += end - begin
            size += int(sizes[end - 1]) - done
            begin = end
            if size >= BATCH_BYTES or rows == BATCH_DOCUMENTS:
                yield _joined(waiting)
                waiting, rows, size = [], 0, 0
    if waiting:
        yield _joined(waiting)


def judged(pieces: Iterable[Piece], plan: Plan, workers: Workers) -> Iterator[Any]:
    """What a curator thinks of each batch of documents or list of conversations, in their order.

    Yields ``Judged`` and ``JudgedConversations``.
    """
    return workers.in_order(partial(_judge, plan), pieces)


def edge_lines(batches: Iterable[pa.RecordBatch], workers: Workers) -> Iterator[tuple[Hashes, list[Site]]]:
    """What ``boilerplate.LineCounts`` adds up, for each batch in their order."""
    return workers.in_order(_edge_lines, repacked(batches))


@dataclass(frozen=True)
class Duplicate:
    """Why a document goes: another one stays."""

    kind: str
    """EXACT or NEAR."""
    kept: int
    """The place of the one that stays."""
    jaccard: float


def find_duplicates(survivors: Survivors, *, near_jaccard: float | None) -> Mapping[int, Duplicate]:
    """The places of the documents that go because of others, with the one that stays for each.

    Of equal texts the first stays. Of near ones that stays which is longer (the earlier at equal length), unless it
    goes because of a third; so each one that goes is near one that stays. References stay always.
    """
    preference_N = survivors.preference_N
    gone_N, kept_N = duplicates.exact_duplicates(survivors.keys_N2)
    found = {gone: Duplicate(EXACT, kept, 1.0) for gone, kept in zip(gone_N.tolist(), kept_N.tolist(), strict=True)}
    if near_jaccard is not None:
        among = numpy.ones(len(survivors), bool)
        among[gone_N] = False
        pairs = near_duplicates.near_duplicate_pairs(
            survivors.band_columns(), survivors.texts, near_jaccard, preference_D=preference_N, among=among
        )
        for gone, kept, jaccard in near_duplicates.choose(pairs, preference_N):
            found[gone] = Duplicate(NEAR, kept, jaccard)
    return {gone: found[gone] for gone in sorted(found) if gone >= survivors.reference_count}


def kept_mask(survivors: Survivors, gone: Iterable[int]) -> NDArray[numpy.bool_]:
    """Which documents are neither references nor duplicates. Shape (N,)."""
    mask = numpy.ones(len(survivors), bool)
    mask[: survivors.reference_count] = False
    mask[list(gone)] = False
    return mask


def _judge(plan: Plan, piece: Piece) -> Judged | JudgedConversations:
    global _last
    if _last is None or _last[0] != plan:
        _last = plan, Curator(plan)
    curator = _last[1]
    return curator.judge_conversations(piece) if isinstance(piece, list) else curator.judge(piece)


def _edge_lines(documents: pa.RecordBatch) -> tuple[Hashes, list[Site]]:
    rows = documents.select(["source", "meta"]).to_pylist()
    sites = [site_of(row) for row in rows]
    return line_numbers(Batch(documents["text"].to_pylist()), sites), sites


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
