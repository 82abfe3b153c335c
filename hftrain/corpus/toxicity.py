"""How toxic a text reads: a linear model of words that ships in its package, over windows of a document.

The model is that of ``alt-profanity-check`` (MIT): TF-IDF of 15,442 English words and the mean of five calibrated
linear support vector machines, learned from comments on Wikipedia (Jigsaw 2018) and tweets (Davidson et al. 2017,
arXiv:1703.04009) that people labelled. What it holds is taken out once; the same probabilities are then computed over
many texts at a time (but for words with a Turkish İ, which the package takes apart). The two files of the installed
package are pickles; ``hftrain.corpus.saved_models`` takes the numbers out of them and runs nothing.

It knows words, not what is meant by them: insults without a swearword pass, as masked ones do (``f*ck``);
quotations, old books and reclaimed words do not; and tweets in African American English are flagged more often than
others (Davidson et al. 2019, arXiv:1905.12516). A score is a reason to look, not a finding.

The model was learned from comments; a long text would blur into harmlessness. So a document is judged in windows of
``WINDOW_WORDS``, and the highest probability and the share of toxic windows are both told.

Shape legend: D documents, W words of all of them, N windows, V words that the model knows, M machines.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch, Hashes, Integers
from hftrain.corpus.known_words import KnownWords
from hftrain.corpus.languages import UNKNOWN, identify
from hftrain.corpus.package_data import package_file
from hftrain.corpus.word_lists import Found, Terms, explicit_terms, find_terms, may_be_explicit, too_many_terms
from hftrain.errors import ArtifactError

Floats = NDArray[numpy.float64]

WINDOW_WORDS = 50
"""In longer windows what surrounds an insult drowns it, in shorter ones single harsh words of a novel count as toxic:
of 25, 40, 50, 75, 100 and 150 words these find most toxic comments among others at the least cost in books."""

EXPLICIT_COUNT = 3
"""So many different explicit terms at least: one or two are let pass however short the text is, and however often a
fable says them."""

UNSURE_SCORE = 0.5
"""Up to here a text that is taken for another language may still be English: slang often is."""


@dataclass(frozen=True)
class LinearModel:
    """The words that the model knows, and what each weighs."""

    words: KnownWords
    inverse_document_frequencies_V: Floats
    weights_VM: Floats
    intercepts_M: Floats
    slopes_M: Floats
    offsets_M: Floats

    def probabilities(self, margins_NM: Floats) -> Floats:
        """Mean over the machines of 1 / (1 + exp(slope * margin + offset)). Shape (N,)."""
        calibrated: Floats = 1 / (1 + numpy.exp(self.slopes_M * margins_NM + self.offsets_M))
        return numpy.asarray(calibrated.mean(axis=1))


@dataclass(frozen=True)
class Toxicity:
    """What the windows of each document of a batch say."""

    highest_D: Floats
    """The highest probability of a window."""

    worst_D: Integers
    """First word of that window, in ``batch.words``."""

    windows_D: Integers
    toxic_windows_D: Integers
    """How many windows there are, and how many of them are above the threshold."""

    def worst_char(self, batch: Batch, document: int) -> int:
        """Where in a document's text its worst window begins."""
        if not batch.words.counts_D[document]:
            return 0
        return int(batch.words.starts_S[self.worst_D[document]] - batch.starts_D[document])


def judge(
    batch: Batch,
    *,
    maximum_score: float | None,
    minimum_share: float,
    maximum_explicit: float | None,
    listed: Terms | None,
) -> list[tuple[str, str, int] | None]:
    """What is wrong with each document, by name, detail and place in the text; None where nothing is.

    Args:
        batch: The documents.
        maximum_score: Above this a window is toxic. None: the model is not asked. Texts that are surely not English
            are passed over: the few words that the model takes for English decide there.
        minimum_share: The share of a document's windows that must be toxic; 0: one is enough.
        maximum_explicit: Terms of the packaged lists among a thousand words, above which a document with
            ``EXPLICIT_COUNT`` different ones is ``explicit``. None: the lists are not asked.
        listed: The user's own terms, of which no document may hold one.
    """
    broken: list[tuple[str, str, int] | None] = [None] * len(batch)
    if listed:
        for document in _places(found := find_terms(batch, listed)):
            detail = too_many_terms(found, document, minimum_count=1, maximum=0)
            broken[document] = ("listed_term", f"{detail}", int(found.first_chars_D[document]))
    if maximum_explicit is not None and (places := may_be_explicit(batch, EXPLICIT_COUNT)):
        members = Batch([batch.texts[place] for place in places])
        found = explicit_terms(members, [code for code, _ in identify(members.texts)])
        for member in _places(found):
            detail = too_many_terms(
                found, member, minimum_count=EXPLICIT_COUNT, maximum=maximum_explicit, minimum_kinds=EXPLICIT_COUNT
            )
            if detail and not broken[places[member]]:
                broken[places[member]] = ("explicit", detail, int(found.first_chars_D[member]))
    if maximum_score is not None:
        windows = toxicity(batch, threshold=maximum_score)
        for document in numpy.flatnonzero(windows.toxic_windows_D).tolist():
            detail = too_toxic(windows, document, minimum_share=minimum_share)
            if detail and not broken[document] and _may_be_english(batch.texts[document]):
                broken[document] = ("toxic", detail, windows.worst_char(batch, document))
    return broken


def _places(found: Found) -> list[int]:
    return numpy.flatnonzero(found.counts_D).tolist()


def _may_be_english(text: str) -> bool:
    ((code, score),) = identify([text])
    return code in ("en", UNKNOWN) or score < UNSURE_SCORE


def toxicity(batch: Batch, *, threshold: float) -> Toxicity:
    """Judge each document by its windows of ``WINDOW_WORDS``; the last one reaches back to be as long as the others.

    Args:
        batch: The documents.
        threshold: The probability above which a window counts as toxic.
    """
    offsets = batch.words.offsets
    first_N, last_N, window_offsets = _windows(offsets)
    scores_N = window_probabilities(batch.word_hashes_W, first_N, last_N)
    begins = window_offsets[:-1]
    highest = numpy.maximum.reduceat(scores_N, begins) if len(begins) else scores_N
    documents_N = numpy.repeat(numpy.arange(len(begins)), numpy.diff(window_offsets))
    is_highest = numpy.flatnonzero(scores_N == highest[documents_N])
    _, first_of_document = numpy.unique(documents_N[is_highest], return_index=True)
    toxic = numpy.bincount(documents_N, weights=scores_N > threshold, minlength=len(begins))
    return Toxicity(
        highest_D=highest,
        worst_D=first_N[is_highest[first_of_document]],
        windows_D=numpy.diff(window_offsets),
        toxic_windows_D=toxic.astype(numpy.int64),
    )


def too_toxic(found: Toxicity, document: int, *, minimum_share: float) -> str | None:
    """What the windows of one document say against it, or None.

    A document goes if a window is toxic and ``minimum_share`` of all its windows are: one quarrel in a novel is no
    reason, in a comment it is.
    """
    toxic: int = found.toxic_windows_D[document].item()
    windows: int = found.windows_D[document].item()
    if toxic == 0 or toxic / windows < minimum_share:
        return None
    return f"{found.highest_D[document]:.2f} at worst, {toxic} of {windows} windows"


def window_probabilities(hashes_W: Hashes, first_N: Integers, last_N: Integers) -> Floats:
    """The model's probability that a window is toxic; windows are words ``first`` up to, not including, ``last``.

    With c a word's count in the window: x = c * idf / norm(c * idf), margin = weights . x + intercept. Shape (N,).
    """
    model = packaged_model()
    word_count = len(model.words.hashes_V)
    positions, places = model.words.find(hashes_W)
    begin_N = numpy.searchsorted(positions, first_N)
    sizes_N = numpy.searchsorted(positions, last_N) - begin_N
    windows = numpy.repeat(numpy.arange(len(first_N)), sizes_N)
    within = numpy.arange(len(windows)) - numpy.repeat(numpy.cumsum(sizes_N) - sizes_N, sizes_N)
    known = places[numpy.repeat(begin_N, sizes_N) + within]
    pairs, counts = numpy.unique(windows * word_count + known, return_counts=True)
    windows, known = numpy.divmod(pairs, word_count)
    values = counts * model.inverse_document_frequencies_V[known]
    norms = numpy.sqrt(numpy.bincount(windows, weights=values * values, minlength=len(first_N)))
    sums = [
        numpy.bincount(windows, weights=values * weights_V[known], minlength=len(first_N))
        for weights_V in model.weights_VM.T
    ]
    ones = numpy.where(norms > 0, norms, 1)  # of a window without a known word
    return model.probabilities(numpy.stack(sums, axis=1) / ones[:, None] + model.intercepts_M)


def _windows(offsets: Integers) -> tuple[Integers, Integers, Integers]:
    """First and last word of each window, and which windows are a document's; one without a word has one window."""
    counts = numpy.diff(offsets)
    windows_D = numpy.maximum(1, -(-counts // WINDOW_WORDS))
    window_offsets = numpy.concatenate([windows_D[:0], [0], numpy.cumsum(windows_D)])
    documents_N = numpy.repeat(numpy.arange(len(counts)), windows_D)
    number_N = numpy.arange(len(documents_N)) - window_offsets[documents_N]
    latest_N = numpy.maximum(0, counts - WINDOW_WORDS)[documents_N]
    first_N = offsets[documents_N] + numpy.minimum(number_N * WINDOW_WORDS, latest_N)
    return first_N, numpy.minimum(first_N + WINDOW_WORDS, offsets[documents_N + 1]), window_offsets


@cache
def packaged_model() -> LinearModel:
    """Take words and weights out of the installed ``alt-profanity-check``.

    Raises:
        ArtifactError: The installed package holds another kind of model.
    """
    try:
        return _model_of(_saved("vectorizer.joblib"), _saved("model.joblib"))
    except AttributeError as error:
        raise ArtifactError(
            f"toxicity: alt-profanity-check's model is not as expected ({error}). TF-IDF of words and calibrated "
            "linear machines are needed. Install the version that hftrain asks for."
        ) from error


def _model_of(vectorizer: Any, machines: Any) -> LinearModel:
    words = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    hashes = Batch(words).word_hashes_W
    order = numpy.argsort(hashes)
    estimators = [calibrated.estimator for calibrated in machines.calibrated_classifiers_]
    sigmoids = [calibrated.calibrators[0] for calibrated in machines.calibrated_classifiers_]
    return LinearModel(
        words=KnownWords(hashes[order]),
        inverse_document_frequencies_V=numpy.asarray(vectorizer._tfidf.idf_)[order],
        weights_VM=numpy.stack([estimator.coef_[0] for estimator in estimators], axis=1)[order],
        intercepts_M=numpy.array([estimator.intercept_[0] for estimator in estimators]),
        slopes_M=numpy.array([sigmoid.a_ for sigmoid in sigmoids]),
        offsets_M=numpy.array([sigmoid.b_ for sigmoid in sigmoids]),
    )


def _saved(name: str) -> Any:
    from hftrain.corpus.saved_models import read_saved  # brings joblib

    return read_saved(package_file("profanity_check", "data", name), library="sklearn")
