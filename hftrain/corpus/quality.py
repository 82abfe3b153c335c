"""A classifier of quality that the user's own examples made: how likely they would keep a text.

It adds up what the measures of a text (``hftrain.corpus.measures``) and, where that paid off on examples held out
from its training, the words in it weigh. Each part of the sum can be shown. Its folder holds numbers and names only:
``quality.safetensors`` and ``quality.json``.

Shape legend: D documents, F measures, B buckets of words, P pairs of a document and a bucket that it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from hftrain.corpus.batches import Batch, Integers, in_batches
from hftrain.corpus.measures import NAMES, measures
from hftrain.errors import ArtifactError
from hftrain.files import read_json, write_json

Floats = NDArray[numpy.float64]

FORMAT = 1
BUCKETS = 1 << 13
"""Words are told apart by the lowest bits of their numbers; two that share a bucket share a weight."""

FARTHEST = 3.0
"""Measures are cut off at so many standard deviations: a book is not a hundred times better than a page."""


@dataclass(frozen=True)
class QualityModel:
    """margin = weights . standard(measures) + word_scale * word_weights . unit(idf of the words) + intercept."""

    means_F: Floats
    deviations_F: Floats
    weights_F: Floats
    inverse_document_frequencies_B: Floats
    word_weights_B: Floats
    word_scale: float
    """0 if the words are not asked."""

    intercept: float
    slope: float
    offset: float
    """probability = 1 / (1 + exp(-(slope * margin + offset)))."""

    report: Mapping[str, Any]
    """What was learned from, how it was chosen, and how well it does on examples that it was not trained on."""

    def score(self, texts: Sequence[str] | Batch) -> Floats:
        """How likely each text would be kept, from 0 to 1. Shape (D,)."""
        batches = [texts] if isinstance(texts, Batch) else in_batches(texts)
        margins = [self.margins(batch) for batch in batches]
        margins_D = numpy.concatenate(margins) if margins else numpy.empty(0)
        return 1 / (1 + numpy.exp(-(self.slope * margins_D + self.offset)))

    def margins(self, batch: Batch) -> Floats:
        """What the parts of each text add up to. Shape (D,)."""
        total = (standard(measures(batch), self.means_F, self.deviations_F) * self.weights_F).sum(axis=1)
        if self.word_scale:
            documents, values, buckets = word_values(batch, self.inverse_document_frequencies_B)
            weighed = values * self.word_weights_B[buckets]
            total += self.word_scale * numpy.bincount(documents, weights=weighed, minlength=len(batch))
        return total + self.intercept

    def explain(self, text: str, limit: int = 10) -> list[tuple[str, float]]:
        """The parts of a text that weigh most, by name, in log-odds: above 0 they speak for keeping it.

        A measure weighs against the mean of the examples; a word is named as ``word <word>``.
        """
        batch = Batch([text])
        parts = dict(
            zip(NAMES, standard(measures(batch), self.means_F, self.deviations_F)[0] * self.weights_F, strict=True)
        )
        if self.word_scale:
            _, values, buckets = word_values(batch, self.inverse_document_frequencies_B)
            weighed = dict(zip(buckets.tolist(), self.word_scale * values * self.word_weights_B[buckets], strict=True))
            spoken = {
                int(bucket): place for place, bucket in reversed(list(enumerate(buckets_of_words(batch).tolist())))
            }
            parts |= {
                f"word {batch.said(batch.words, spoken[bucket]).lower()}": part for bucket, part in weighed.items()
            }
        ordered = sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0]))
        return [(name, float(self.slope * part)) for name, part in ordered[:limit]]

    def save(self, folder: Path) -> None:
        """Write the model to a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {
                "means": self.means_F,
                "deviations": self.deviations_F,
                "weights": self.weights_F,
                "inverse_document_frequencies": self.inverse_document_frequencies_B,
                "word_weights": self.word_weights_B,
                "numbers": numpy.array([self.word_scale, self.intercept, self.slope, self.offset]),
            },
            folder / "quality.safetensors",
        )
        write_json(folder / "quality.json", {"format": FORMAT, "measures": list(NAMES), "report": dict(self.report)})

    @classmethod
    def load(cls, folder: Path) -> "QualityModel":
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: The folder holds no such model, or one that was made for other measures.
        """
        described = folder / "quality.json"
        if not described.is_file() or not (folder / "quality.safetensors").is_file():
            raise ArtifactError(
                f"{folder}: no quality.json with a quality.safetensors. A classifier of quality is needed there. "
                "Train one from examples."
            )
        found = read_json(described)
        if (found.get("format"), found.get("measures")) != (FORMAT, list(NAMES)):
            raise ArtifactError(
                f"{described}: made for other measures (format {found.get('format')!r}) than this version of hftrain "
                f"takes (format {FORMAT}). Both must be the same. Train the classifier again from its examples."
            )
        tensors = load_file(folder / "quality.safetensors")
        word_scale, intercept, slope, offset = tensors["numbers"].tolist()
        return cls(
            means_F=tensors["means"],
            deviations_F=tensors["deviations"],
            weights_F=tensors["weights"],
            inverse_document_frequencies_B=tensors["inverse_document_frequencies"],
            word_weights_B=tensors["word_weights"],
            word_scale=word_scale,
            intercept=intercept,
            slope=slope,
            offset=offset,
            report=found["report"],
        )


def standard(measures_DF: Floats, means_F: Floats, deviations_F: Floats) -> Floats:
    """Measures in standard deviations from their means, cut off at ``FARTHEST``; shares by their square root."""
    return numpy.clip((evened(measures_DF) - means_F) / deviations_F, -FARTHEST, FARTHEST)


def evened(measures_DF: Floats) -> Floats:
    """Shares by their square root: most of them are near 0 with a few far off."""
    is_share = numpy.array([name.endswith("_share") for name in NAMES])
    return numpy.where(is_share, numpy.sqrt(numpy.maximum(0, measures_DF)), measures_DF)


def buckets_of_words(batch: Batch) -> Integers:
    """The bucket of each word of a batch."""
    return (batch.word_hashes_W & numpy.uint64(BUCKETS - 1)).astype(numpy.int64)


def word_pairs(batch: Batch) -> tuple[Integers, Integers]:
    """Which documents have which buckets, each once, in order. Both (P,)."""
    pairs = numpy.sort(batch.words.documents_S * BUCKETS + buckets_of_words(batch))
    pairs = pairs[numpy.diff(pairs, prepend=-1) > 0]
    return pairs // BUCKETS, pairs % BUCKETS


def word_values(batch: Batch, inverse_document_frequencies_B: Floats) -> tuple[Integers, Floats, Integers]:
    """What each bucket of a document counts: its idf, over the length of all of the document's. All (P,).

    Returns:
        Documents, values and buckets.
    """
    documents, buckets = word_pairs(batch)
    return documents, unit_values(documents, inverse_document_frequencies_B[buckets], len(batch)), buckets


def unit_values(documents: Integers, values: Floats, document_count: int) -> Floats:
    """Values over the root of the sum of the squares of the same document. Shape (P,)."""
    norms = numpy.sqrt(numpy.bincount(documents, weights=values * values, minlength=document_count))
    return values / norms[documents]
