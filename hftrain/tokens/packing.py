"""Documents into rows of one length, for pretraining, and an account of what that cost.

Every row has one token before its first prediction: the end-of-text token that opens a document, or the last token of
what the row goes on with. So each token of each document is predicted exactly once, and no prediction is repeated.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy
from numpy.typing import NDArray

# Scoring reads documents one by one from here.
from hftrain.tokens.encoding import Encoded
from hftrain.tokens.encoding import encode_documents as encode_documents
from hftrain.tokens.lens import IGNORED

Numbers = NDArray[numpy.int64]
Packing = Literal["stream", "whole"]
PACKINGS = ("stream", "whole")


@dataclass(frozen=True, kw_only=True)
class PackingAccount:
    """What became of the documents."""

    packing: str
    rows: int
    row_tokens: int
    documents: int
    """Documents that were packed, the last of them perhaps in part."""
    tokens: int
    """Tokens in all rows that are no padding."""
    padding_tokens: int
    documents_cut: int
    """Documents that lie in more than one row."""
    cuts: int
    """Places at which a document is cut."""
    left_out_tokens: int
    """Tokens at the end that did not fill a row, or that the run will not read."""


@dataclass(frozen=True)
class RowPlan:
    """Which stretches of the documents lie in which row. A stretch is copied whole.

    All of shape (S,), S stretches, in the order of rows and of places in them.
    """

    row: Numbers
    place: Numbers
    """Where in its row the stretch begins."""
    begin: Numbers
    """Where in the ids of all documents it begins."""
    length: Numbers
    is_context: NDArray[numpy.bool_]
    """Whether its first token is there to be read only, and is no label."""


def plan_rows(
    encoded: Encoded, order: Numbers, *, row_tokens: int, packing: Packing, row_limit: int | None, seed: int
) -> tuple[RowPlan, PackingAccount]:
    """Lay documents into rows.

    ``stream`` joins them in order and cuts the stream: nothing is padded, most documents are cut, a last part row is
    left out. ``whole`` cuts no document that fits in a row: longer ones fill rows, their remainders and the other
    documents are packed best-fit-decreasing, and what stays empty is padding; rows are shuffled by the seed. Source:
    Ding et al. 2024, Fewer Truncations Improve Language Modeling, arXiv:2404.10830.

    Args:
        encoded: Documents that each end in the end-of-text token.
        order: Which of them to pack, in which order.
        row_tokens: Tokens in a row.
        packing: How.
        row_limit: Rows that will be read at most; None for all.
        seed: Shuffles packed rows.
    """
    lengths = encoded.lengths[order]
    begins = encoded.ends[order] - lengths
    if packing == "stream":
        return _stream(begins, lengths, row_tokens, row_limit)
    return _whole(begins, lengths, row_tokens, row_limit, seed)


def rows_from(
    plan: RowPlan, encoded: Encoded, rows: range, *, row_tokens: int, start: int, pad: int
) -> tuple[NDArray[numpy.int32], NDArray[numpy.int32], NDArray[numpy.int32]]:
    """Token ids, labels and positions within their document of some rows. Shape (N, L) each, N rows of L tokens.

    Args:
        plan: Made by `plan_rows`.
        encoded: The documents that it was made for.
        rows: Which rows.
        row_tokens: L.
        start: Id of the end-of-text token; before each document stands one, and positions begin at it.
        pad: Id that fills a row up.
    """
    first, last = numpy.searchsorted(plan.row, [rows.start, rows.stop])
    lengths = plan.length[first:last]
    steps = numpy.arange(lengths.sum()) - numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)
    places = (plan.row[first:last] - rows.start) * row_tokens + plan.place[first:last]
    ids = numpy.full(len(rows) * row_tokens, pad, dtype=numpy.int32)
    ids[::row_tokens] = start
    target = numpy.repeat(places, lengths) + steps
    ids[target] = encoded.ids[numpy.repeat(plan.begin[first:last], lengths) + steps]
    labels = numpy.full_like(ids, IGNORED)
    labels[target] = ids[target]
    labels[places[plan.is_context[first:last]]] = IGNORED
    everywhere = numpy.arange(len(ids))
    opens = (ids == start) | (labels == IGNORED) | (everywhere % row_tokens == 0)
    positions = everywhere - numpy.maximum.accumulate(numpy.where(opens, everywhere, 0))
    shape = (len(rows), row_tokens)
    return ids.reshape(shape), labels.reshape(shape), positions.astype(numpy.int32).reshape(shape)


def _stream(
    begins: Numbers, lengths: Numbers, row_tokens: int, row_limit: int | None
) -> tuple[RowPlan, PackingAccount]:
    step = row_tokens - 1
    ends = numpy.cumsum(lengths)
    total = int(lengths.sum())
    rows = total // step if row_limit is None else min(total // step, row_limit)
    # A stretch ends where its document does, and where its row does.
    stops = numpy.sort(numpy.concatenate([ends[ends < rows * step], numpy.arange(1, rows + 1) * step]))
    stops = stops[numpy.diff(stops, prepend=0) > 0]
    starts = numpy.concatenate([[0], stops[:-1]])[: len(stops)]
    document = numpy.searchsorted(ends, starts, side="right")
    into_document = starts - (ends - lengths)[document]
    # A row that begins within a document begins with the token before.
    goes_on = ((starts % step == 0) & (into_document > 0)).astype(numpy.int64)
    plan = RowPlan(
        row=starts // step,
        place=starts % step + 1 - goes_on,
        begin=begins[document] + into_document - goes_on,
        length=stops - starts + goes_on,
        is_context=numpy.zeros(len(starts), dtype=bool),
    )
    pieces = numpy.bincount(document)
    account = PackingAccount(
        packing="stream",
        rows=rows,
        row_tokens=row_tokens,
        documents=int((pieces > 0).sum()),
        tokens=rows * row_tokens,
        padding_tokens=0,
        documents_cut=int((pieces > 1).sum()),
        cuts=int(numpy.maximum(pieces - 1, 0).sum()),
        left_out_tokens=total - rows * step,
    )
    return plan, account


def _whole(
    begins: Numbers, lengths: Numbers, row_tokens: int, row_limit: int | None, seed: int
) -> tuple[RowPlan, PackingAccount]:
    step = row_tokens - 1
    # A document of up to ``step`` tokens is an item. A longer one fills rows; what remains of it is an item too, with
    # the token before it, which is read and not learned.
    full = numpy.where(lengths > step, lengths // step, 0)
    rest = lengths - full * step
    is_rest = (full > 0) & (rest > 0)
    items = numpy.flatnonzero(rest > 0)
    context = is_rest[items].astype(numpy.int64)
    item_begins, item_lengths = (begins + full * step)[items] - context, rest[items] + context
    item_rows, item_places, packed_rows = best_fit_decreasing(item_lengths, step)
    nth = numpy.arange(full.sum()) - numpy.repeat(numpy.cumsum(full) - full, full)
    goes_on = (nth > 0).astype(numpy.int64)
    row = numpy.concatenate([numpy.arange(len(nth)), item_rows + len(nth)])
    place = numpy.concatenate([1 - goes_on, item_places + 1])
    begin = numpy.concatenate([numpy.repeat(begins, full) + nth * step - goes_on, item_begins])
    length = numpy.concatenate([step + goes_on, item_lengths])
    document = numpy.concatenate([numpy.repeat(numpy.arange(len(full)), full), items])
    is_context = numpy.concatenate([numpy.zeros(len(nth), dtype=bool), is_rest[items]])
    rows = len(nth) + packed_rows
    row = numpy.random.default_rng(seed).permutation(rows)[row]
    if row_limit is not None:
        rows = min(rows, row_limit)
    sorted_ = numpy.lexsort((place, row))
    sorted_ = sorted_[row[sorted_] < rows]
    plan = RowPlan(
        row=row[sorted_],
        place=place[sorted_],
        begin=begin[sorted_],
        length=length[sorted_],
        is_context=is_context[sorted_],
    )
    pieces = numpy.bincount(document[sorted_])
    # Every row has its first token, from the document or not; tokens at place 0 are counted with it.
    tokens = int(plan.length.sum()) + rows - int((plan.place == 0).sum())
    learned = int(plan.length.sum()) - int((plan.place == 0).sum()) - int(plan.is_context.sum())
    account = PackingAccount(
        packing="whole",
        rows=rows,
        row_tokens=row_tokens,
        documents=int((pieces > 0).sum()),
        tokens=tokens,
        padding_tokens=rows * row_tokens - tokens,
        documents_cut=int((pieces > 1).sum()),
        cuts=int(numpy.maximum(pieces - 1, 0).sum()),
        left_out_tokens=int(lengths.sum()) - learned,
    )
    return plan, account


def best_fit_decreasing(sizes: Numbers, capacity: int) -> tuple[Numbers, Numbers, int]:
    """Put items into bins, the largest first, each into the fullest bin that has room for it.

    Items of one size are placed together: a bin with room for three of them takes three.

    Args:
        sizes: From 1 to ``capacity``. Shape (I,), I items.
        capacity: Of a bin.

    Returns:
        The bin of each item, where in it the item begins, and how many bins there are. Shape (I,) twice.
    """
    bins, places, bin_count = numpy.zeros_like(sizes), numpy.zeros_like(sizes), 0
    with_room: dict[int, list[Numbers]] = defaultdict(list)  # room left -> bins
    by_size = numpy.argsort(-sizes, kind="stable")
    bounds = numpy.concatenate([[0], numpy.flatnonzero(numpy.diff(sizes[by_size])) + 1, [len(sizes)]])
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        waiting = by_size[first:last]
        size = int(sizes[waiting[0]]) if len(waiting) else 0
        while len(waiting):
            room = min((room for room in with_room if room >= size), default=0)
            each = (room or capacity) // size
            wanted = -(-len(waiting) // each)
            if room:
                found = with_room.pop(room)
                available = found[0] if len(found) == 1 else numpy.concatenate(found)
                chosen, spare = available[:wanted], available[wanted:]
                if len(spare):
                    with_room[room] = [spare]
            else:
                room, chosen = capacity, numpy.arange(bin_count, bin_count + wanted)
                bin_count += wanted
            placed = min(len(waiting), len(chosen) * each)
            nth = numpy.arange(placed)
            bins[waiting[:placed]] = chosen[nth // each]
            places[waiting[:placed]] = capacity - room + nth % each * size
            held = numpy.bincount(nth // each, minlength=len(chosen))
            for count in set(held.tolist()):
                if left := room - count * size:
                    with_room[left].append(chosen[held == count])
            waiting = waiting[placed:]
    return bins, places, bin_count
