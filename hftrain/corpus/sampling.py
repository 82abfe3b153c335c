"""A stable sample of a stream, written to disk: the rows with the smallest ids.

Ids are digests of contents, so the smallest ones are a uniform sample. Adding documents to a place
exchanges only as many rows as the new ones push out; the order of the places does not matter.
"""

import heapq
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from datasets import Features

from hftrain.corpus.storage import each_row, read_rows, write_rows


def write_sample(
    folder: Path,
    rows: Iterable[Mapping[str, object]],
    features: Features,
    *,
    largest_rows: int | None,
    scratch: Path,
) -> int:
    """Write ``rows`` to ``folder``, at most ``largest_rows`` of them, in their order.

    All rows pass through ``scratch`` on disk; memory holds ``largest_rows`` ids.

    Args:
        folder: Where the sample goes.
        rows: Each with an ``id``.
        features: The columns of ``rows``.
        largest_rows: None keeps all rows.
        scratch: A folder of our own; removed before this returns.

    Returns:
        How many rows were written.
    """
    if largest_rows is None:
        return write_rows(folder, rows, features)
    shutil.rmtree(scratch, ignore_errors=True)
    write_rows(scratch, rows, features)
    everything = read_rows(scratch)
    # The position breaks ties between equal texts, so that exactly so many rows are chosen.
    ids = each_row(everything.select_columns("id"))
    keyed = ((row["id"], position) for position, row in enumerate(ids))
    chosen = {position for _, position in heapq.nsmallest(largest_rows, keyed)}
    kept = (row for position, row in enumerate(each_row(everything)) if position in chosen)
    written = write_rows(folder, kept, features)
    del everything
    shutil.rmtree(scratch)
    return written
