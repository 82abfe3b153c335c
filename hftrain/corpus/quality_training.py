"""Learning a classifier of quality from examples of what to keep and what to drop.

Logistic regression over measures and words. How strongly it is held back, and how much the words count, is chosen by
cross-validation inside the examples; how well that whole procedure does is measured on examples that neither the
training nor the choice has seen, next to a classifier that only knows how long a text is.

Shape legend: N examples, F measures, B buckets of words, R resamples.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from hftrain.corpus.batches import Integers, in_batches
from hftrain.corpus.measures import NAMES, measures
from hftrain.corpus.quality import BUCKETS, FARTHEST, Floats, QualityModel, evened, unit_values, word_pairs
from hftrain.corpus.repair import repair
from hftrain.errors import DataError

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""scikit-learn's ``C``: the smaller, the closer the weights stay to 0."""

WORD_SCALES = (0.0, 10.0)
"""Without words, and with words that count about as much as all measures together."""

CANDIDATES = tuple(product(STRENGTHS, WORD_SCALES))
Candidate = tuple[float, float]

OUTER_FOLDS = 3
INNER_FOLDS = 5
LEAST_EXAMPLES = 20
RESAMPLES = 2000
CERTAIN, DISPUTED = 1.0, 0.5


@dataclass(frozen=True)
class Example:
    """A text that somebody said to keep or to drop, and how much that counts."""

    text: str
    keep: bool
    weight: float = 1.0


@dataclass(frozen=True)
class Table:
    """Examples as numbers."""

    measures_NF: Floats
    has_word_NB: csr_matrix
    keep_N: NDArray[numpy.bool_]
    weights_N: Floats

    def rows(self, chosen: Integers) -> "Table":
        """Some of the examples."""
        return Table(self.measures_NF[chosen], self.has_word_NB[chosen], self.keep_N[chosen], self.weights_N[chosen])


def read_examples(path: Path, *, text: str = "text", label: str = "label", weight: str | None = None) -> list[Example]:
    """Read examples from a .jsonl file, or .jsonl.gz; texts are repaired as curation repairs them.

    Args:
        path: The file; a row a line.
        text: The column of the text.
        label: The column that says true or 1 for keep, false or 0 for drop.
        weight: The column of a number, how much a row counts; or of true or false, whether those who were asked agreed:
            a disputed row counts half.

    Raises:
        DataError: A row has no such column, or something else in it.
    """
    return [_example(row, f"{path}, line {number}", text, label, weight) for number, row in _rows(path)]


def train(examples: Sequence[Example], *, seed: int = 0) -> QualityModel:
    """Learn from examples; the same examples in the same order give the same model.

    Raises:
        DataError: There are fewer than ``LEAST_EXAMPLES`` of one kind.
    """
    kept = sum(example.keep for example in examples)
    if min(kept, len(examples) - kept) < LEAST_EXAMPLES:
        raise DataError(
            f"quality: {kept} examples to keep and {len(examples) - kept} to drop. At least {LEAST_EXAMPLES} of each "
            "are needed, better some hundred. Label more."
        )
    table = as_table(examples)
    with threadpool_limits(limits=1):  # sums over several threads differ in their last bits
        held_out_N = held_out_margins(table, seed=seed)
        candidate, inner_N = chosen(table, seed=seed)
        slope, offset = _calibrated(inner_N, table)
        report = _report(table, held_out_N, candidate, slope, offset, seed=seed)
        return _fitted(table, candidate, slope, offset, report)


def as_table(examples: Sequence[Example]) -> Table:
    """Measures and words of all examples."""
    blocks, documents, buckets, before = [], [], [], 0
    for batch in in_batches(example.text for example in examples):
        blocks.append(evened(measures(batch)))
        owners, found = word_pairs(batch)
        documents.append(owners + before)
        buckets.append(found)
        before += len(batch)
    rows, columns = numpy.concatenate(documents), numpy.concatenate(buckets)
    return Table(
        measures_NF=numpy.concatenate(blocks),
        has_word_NB=csr_matrix((numpy.ones(len(rows)), (rows, columns)), shape=(len(examples), BUCKETS)),
        keep_N=numpy.array([example.keep for example in examples]),
        weights_N=numpy.array([example.weight for example in examples]),
    )


def held_out_margins(table: Table, *, seed: int) -> Floats:
    """A margin for each example from a classifier that was chosen and trained on other folds. Shape (N,)."""
    margins_N = numpy.zeros(len(table.keep_N))
    for rest, fold in _folds(table, OUTER_FOLDS, seed):
        candidate, _ = chosen(table.rows(rest), seed=seed)
        margins_N[fold] = _fit(table.rows(rest), candidate).margins(table.rows(fold))
    return margins_N


def chosen(table: Table, *, seed: int) -> tuple[Candidate, Floats]:
    """The candidate of the least cross-validated log loss, and its margins for the folds it was not trained on."""
    folds = [(table.rows(rest), table.rows(fold), fold) for rest, fold in _folds(table, INNER_FOLDS, seed + 1)]
    best: tuple[float, Candidate, Floats] | None = None
    for candidate in CANDIDATES:
        margins_N = numpy.zeros(len(table.keep_N))
        for rest, rows, fold in folds:
            margins_N[fold] = _fit(rest, candidate).margins(rows)
        loss = log_loss(table.keep_N, 1 / (1 + numpy.exp(-margins_N)), sample_weight=table.weights_N)
        if best is None or loss < best[0]:
            best = loss, candidate, margins_N
    assert best is not None
    return best[1], best[2]


@dataclass(frozen=True)
class _Fit:
    """What one training gives: the learned part of a ``QualityModel``."""

    means_F: Floats
    deviations_F: Floats
    weights_F: Floats
    idf_B: Floats
    word_weights_B: Floats
    word_scale: float
    intercept: float

    def margins(self, table: Table) -> Floats:
        """The margins of some examples. Shape (N,)."""
        measured = numpy.clip((table.measures_NF - self.means_F) / self.deviations_F, -FARTHEST, FARTHEST)
        words = _words(table.has_word_NB, self.idf_B) @ self.word_weights_B
        return measured @ self.weights_F + self.word_scale * words + self.intercept


def _fit(table: Table, candidate: Candidate) -> _Fit:
    strength, word_scale = candidate
    means_F, deviations_F = table.measures_NF.mean(axis=0), table.measures_NF.std(axis=0)
    deviations_F = numpy.where(deviations_F > 0, deviations_F, 1)
    in_documents_B = numpy.asarray(table.has_word_NB.sum(axis=0)).ravel()
    idf_B = numpy.log((1 + len(table.keep_N)) / (1 + in_documents_B)) + 1
    parts = numpy.clip((table.measures_NF - means_F) / deviations_F, -FARTHEST, FARTHEST)
    if word_scale:
        parts = hstack([csr_matrix(parts), word_scale * _words(table.has_word_NB, idf_B)]).tocsr()
    machine = LogisticRegression(C=strength, max_iter=5000).fit(parts, table.keep_N, sample_weight=table.weights_N)
    weights = machine.coef_[0]
    words = weights[len(NAMES) :] if word_scale else numpy.zeros(BUCKETS)
    return _Fit(means_F, deviations_F, weights[: len(NAMES)], idf_B, words, word_scale, float(machine.intercept_[0]))


def _words(has_word_NB: csr_matrix, idf_B: Floats) -> csr_matrix:
    """Each example's words by their idf, of length 1 together. Shape (N, B)."""
    documents = numpy.repeat(numpy.arange(has_word_NB.shape[0]), numpy.diff(has_word_NB.indptr))
    values = unit_values(documents, idf_B[has_word_NB.indices], has_word_NB.shape[0])
    return csr_matrix((values, has_word_NB.indices, has_word_NB.indptr), shape=has_word_NB.shape)


def _folds(table: Table, count: int, seed: int) -> Iterator[tuple[Integers, Integers]]:
    """Positions of the rest and of the fold, both kinds dealt evenly."""
    dealt = StratifiedKFold(count, shuffle=True, random_state=seed)
    yield from dealt.split(numpy.zeros(len(table.keep_N)), table.keep_N)


def _calibrated(margins_N: Floats, table: Table) -> tuple[float, float]:
    """Slope and offset that turn margins of examples not trained on into probabilities (Platt 1999)."""
    machine = LogisticRegression(C=1e6).fit(margins_N[:, None], table.keep_N, sample_weight=table.weights_N)
    return float(machine.coef_[0, 0]), float(machine.intercept_[0])


def _fitted(table: Table, candidate: Candidate, slope: float, offset: float, report: dict[str, Any]) -> QualityModel:
    fit = _fit(table, candidate)
    return QualityModel(
        means_F=fit.means_F,
        deviations_F=fit.deviations_F,
        weights_F=fit.weights_F,
        inverse_document_frequencies_B=fit.idf_B,
        word_weights_B=fit.word_weights_B,
        word_scale=fit.word_scale,
        intercept=fit.intercept,
        slope=slope,
        offset=offset,
        report=report,
    )


def area_under_curve(keep_RN: NDArray[numpy.bool_], scores_RN: Floats) -> Floats:
    """How often an example to keep scores above one to drop, a tie counting half. Shape (R,)."""
    ranks = rankdata(scores_RN, axis=1)
    kept = keep_RN.sum(axis=1)
    dropped = keep_RN.shape[1] - kept
    return ((ranks * keep_RN).sum(axis=1) - kept * (kept + 1) / 2) / (kept * dropped)


def _report(
    table: Table, held_out_N: Floats, candidate: Candidate, slope: float, offset: float, *, seed: int
) -> dict[str, Any]:
    """How well the procedure does on examples held out from it, with 95 % intervals of a paired bootstrap."""
    keep, lengths = table.keep_N, table.measures_NF[:, NAMES.index("log_words")]
    draws = numpy.random.default_rng(seed).integers(0, len(keep), size=(RESAMPLES, len(keep)))
    draws = draws[(keep[draws].any(axis=1)) & ~(keep[draws].all(axis=1))]
    model, baseline = (area_under_curve(keep[draws], scores[draws]) for scores in (held_out_N, lengths))

    def told(whole: float, resampled: Floats) -> dict[str, Any]:
        low, high = numpy.percentile(resampled, [2.5, 97.5])
        return {"value": round(float(whole), 4), "interval_95": [round(float(low), 4), round(float(high), 4)]}

    (own,), (length,) = (area_under_curve(keep[None], scores[None]) for scores in (held_out_N, lengths))
    probabilities = 1 / (1 + numpy.exp(-(slope * held_out_N + offset)))
    return {
        "examples": {"keep": int(keep.sum()), "drop": int((~keep).sum())},
        "strength": candidate[0],
        "word_scale": candidate[1],
        "held_out": {
            "folds": OUTER_FOLDS,
            "auc": told(own, model),
            "auc_of_length_alone": told(length, baseline),
            "auc_gained": told(own - length, model - baseline),
            "log_loss": round(float(log_loss(keep, probabilities)), 4),
            "at_minimum_score": [
                {
                    "minimum_score": tenth / 10,
                    "kept_of_keep": round(float((probabilities[keep] >= tenth / 10).mean()), 3),
                    "kept_of_drop": round(float((probabilities[~keep] >= tenth / 10).mean()), 3),
                }
                for tenth in range(1, 10)
            ],
        },
    }


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """The rows of a file by their line's number."""
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}. A .jsonl file is needed, or .jsonl.gz, in UTF-8. Mend the file.") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: {error}. A JSON row a line is needed. Mend the line."
                ) from error


def _example(row: Any, where: str, text: str, label: str, weight: str | None) -> Example:
    found = row.get(text) if isinstance(row, dict) else None
    if not isinstance(found, str):
        raise DataError(
            f"{where}: {text!r} is {found!r}. Each row needs a text there. Mend the row or the column's name."
        )
    if row.get(label) not in (0, 1):
        raise DataError(
            f"{where}: {label!r} is {row.get(label)!r}. true or 1 (keep), or false or 0 (drop) is needed there. "
            "Mend the row or the column's name."
        )
    counts: Any = CERTAIN if weight is None else row.get(weight)
    if isinstance(counts, bool):
        counts = CERTAIN if counts else DISPUTED
    if not isinstance(counts, int | float) or not math.isfinite(counts) or counts <= 0:
        raise DataError(
            f"{where}: {weight!r} is {counts!r}. A number above 0, or true or false, is needed there. "
            "Mend the row or the column's name."
        )
    return Example(repair(found), bool(row[label]), float(counts))
