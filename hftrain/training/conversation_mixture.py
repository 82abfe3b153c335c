"""How often each conversation is a row, so that the sources have the shares that were asked for."""

import hashlib

import numpy

from hftrain.corpus.mixtures import copies, group_of, shares
from hftrain.corpus.settings import MixtureSettings
from hftrain.errors import DataError
from hftrain.tokens.lens import LabelledRows, Row


def mixed(labelled: LabelledRows, settings: MixtureSettings) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """The rows, some of them several times or not at all, and what each group of sources came to.

    A group's tokens are those of its rows, prompts included; see `hftrain.corpus.mixtures` for its share. Which rows
    are taken once more than others depends on their own tokens alone.

    Returns:
        Rows in the order of the conversations, and group -> ``conversations``, ``rows`` and ``tokens``; those of
        sources that no pattern fits, which are left out, are counted under ``(no pattern)``.

    Raises:
        DataError: A pattern fits no conversation, or no row is left.
    """
    patterns = list(settings.sources)
    groups = [group_of(source, patterns) for source in labelled.sources]
    sizes_N = numpy.array([len(row["input_ids"]) for row in labelled.rows], dtype=numpy.float64)
    order_N = numpy.array([_number(row) for row in labelled.rows], dtype=numpy.uint64)
    places = {name: numpy.flatnonzero([group == name for group in groups]) for name in patterns}
    for name, found in places.items():
        if not len(found):
            known = ", ".join(sorted(set(labelled.sources)))
            raise DataError(
                f"sft.mixture.sources: {name!r} fits no conversation. One of these sources is needed: {known}. "
                "Mend the pattern, or remove it."
            )
    wanted = shares({name: float(sizes_N[found].sum()) for name, found in places.items()}, settings)
    taken_N = numpy.zeros(len(sizes_N), numpy.int64)
    for name, found in places.items():
        taken_N[found] = copies(sizes_N[found], order_N[found], wanted[name])
    if not taken_N.sum():
        raise DataError("sft.mixture: leaves no conversation. At least one is needed. Raise a weight or total_tokens.")
    account = {
        name: {
            "conversations": len(found),
            "rows": int(taken_N[found].sum()),
            "tokens": int((taken_N[found] * sizes_N[found]).sum()),
        }
        for name, found in places.items()
    }
    if others := groups.count(None):
        account["(no pattern)"] = {"conversations": others, "rows": 0, "tokens": 0}
    return [row for row, times in zip(labelled.rows, taken_N.tolist(), strict=True) for _ in range(times)], account


def _number(row: Row) -> int:
    return int.from_bytes(hashlib.sha256(numpy.array(row["input_ids"], numpy.int32).tobytes()).digest()[:8])
