"""What each model gave item by item, as rows of a file: for tests on the same items later, beside another run too."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy

from hftrain.evaluation import measures
from hftrain.evaluation.scores import Floats, Measured, first_mean
from hftrain.files import read_jsonl

ITEMS_FILE = "items.jsonl"
DIGITS = 6
"""Kept of a number that is no share: far below any interval."""

FORMS: Mapping[str, Callable[[Floats], Floats]] = {
    "mean": first_mean,
    "ratio": measures.ratio_of_means,
    "perplexity": measures.perplexity_of_means,
    "calibration_error": measures.calibration_error_of_means,
    "bias_in_ambiguous": measures.bias_in_ambiguous,
    "bias_in_disambiguated": measures.bias_in_disambiguated,
    "largest_gap": measures.largest_gap,
}
"""From the means of an item's numbers to the score, by name."""
_NAMES = {of: name for name, of in FORMS.items()}


def row_of(model: str, made: Measured) -> dict[str, Any]:
    """One measure of one model as plain values: a number an item, or several."""
    rows = [[_short(value) for value in row] for row in made.values_NK.tolist()]
    return {
        "model": model,
        "test": made.test,
        "measure": made.measure,
        "form": _NAMES[made.of],
        "better": made.better,
        "chance": made.chance,
        "items": made.items,
        "values": [row[0] for row in rows] if made.values_NK.shape[1] == 1 else rows,
    }


def read_measured(evaluation: Path) -> dict[tuple[str, str, str], Measured]:
    """The measures of an evaluation by model, test and measure; nothing where it kept none."""
    path = evaluation / ITEMS_FILE
    return dict(_read(read_jsonl(path) if path.is_file() else []))


def _read(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[tuple[str, str, str], Measured]]:
    for row in rows:
        of = FORMS.get(row.get("form", ""))
        if of is None or not row["values"]:
            continue
        values = numpy.asarray(row["values"], float).reshape(len(row["values"]), -1)
        made = Measured(
            row["test"], row["measure"], values, row["better"], chance=row["chance"], of=of, items=row["items"]
        )
        yield (row["model"], row["test"], row["measure"]), made


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.{DIGITS}g}")
