"""Names of persons and postal addresses: by a spaCy pipeline, and addresses of common forms by pattern."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from hftrain.corpus.personal_data import Found, SearchedText, Span
from hftrain.errors import ConfigError

PERSON_LABELS = frozenset({"PERSON", "PER"})
PLACE_LABELS = frozenset({"GPE", "LOC", "FAC"})
"""OntoNotes' labels and those of the four-class models (https://spacy.io/models)."""

PLACE_NEAR_CHARS = 40
"""A place this near to a street address belongs to it: the city, the country."""

STREET_TYPES = (
    r"(?:Street|Str|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter"
    r"|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Way|Trail|Trl|Alley|Crescent|Cres|Close|Row|Mews|Gardens|Grove|Plaza|Quay"
    r"|Turnpike|Walk)"
)
WORD = r"(?:[^\W\d_a-zß-ÿ](?:[\w'’.-]{0,29}\w)?|\d{1,3}(?:st|nd|rd|th))"
UNIT = r"(?:,?\s{1,4}(?:(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm)\b\.? ?|#)[\w-]{1,8})"
POST_CODE = r"(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4}(?: [A-Z]{2})?)\b"
NAME = rf"{WORD}(?: {WORD}){{0,2}}"
CITY = (
    rf"(?:,?\s{{1,4}}(?:{NAME},?\s{{1,4}}(?:(?:[A-Z]{{2}}|{NAME}),?\s{{1,4}})?{POST_CODE}|{POST_CODE},?\s{{1,4}}{NAME}"
    rf"|{NAME},\s{{1,4}}[A-Z]{{2}}\b))"
)
SMALL_WORD = r"(?:de|du|des|del|della|dei|la|le|les|l'|da|do|dos)"
NUMBER_LAST = (
    r"(?:\w{2,30}(?:straße|strasse|str\.|gasse|weg|allee|platz|ufer|gatan|vägen|vej|gade|veien|gata|vegen|katu|tie"
    r"|straat|laan|plein|gracht|utca)|(?:Rue|Avenue|Boulevard|Place|Chemin|Via|Viale|Piazza|Corso|Calle|Avenida|Plaza"
    rf"|Paseo|Carrer|Rua|Praça|ul\.|ulica|ulice)(?: (?:{SMALL_WORD}|{WORD})){{1,4}}),? \d{{1,5}}(?: ?[a-zA-Z])?\b"
)
"""As in much of Europe: the number after the street."""
NUMBER_FIRST = (
    r"\d{1,6}[A-Za-z]?(?:[-/]\d{1,5})?,? (?:(?:[NSEW]|North|South|East|West)\.? )?"
    rf"(?:{WORD}\.? ){{1,4}}{STREET_TYPES}\b\.?(?: (?:[NS][EW]?|[EW])\b\.?)?"
)
RUE = (
    r"\d{1,5}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|place|chemin|quai|Rue|Avenue|Boulevard)"
    rf"(?: (?:{SMALL_WORD}|{WORD})){{1,4}}"
)
POST_BOX = r"P\.? ?O\.? ?Box \d{1,7}|(?:PSC|Unit) \d{3,5},? Box \d{1,5}"
STREET = re.compile(rf"(?<![\w.,-])(?:{NUMBER_FIRST}|{NUMBER_LAST}|{RUE}|{POST_BOX}){UNIT}?{CITY}?")


def street_addresses(searched: SearchedText) -> Iterator[Span]:
    """House number and street, with the unit, the city and the post code that follow; post boxes."""
    for match in STREET.finditer(searched.text):
        yield match.span()


@functools.cache
def load_pipeline(name: str) -> Any:
    """The spaCy pipeline of this name (or folder), loaded once a process.

    Raises:
        ConfigError: spaCy or the pipeline is not installed, or it names no entities.
    """
    try:
        import spacy
    except ImportError as error:
        raise ConfigError(
            f"curate.names_model: {name!r}, but spaCy is not installed. Names of persons and places are found by a "
            "spaCy pipeline. Run: pip install spacy, and install the pipeline."
        ) from error
    try:
        pipeline = spacy.load(name)
    except OSError as error:
        raise ConfigError(
            f"curate.names_model: {name!r} is neither an installed spaCy pipeline nor a folder with one. One that "
            f"names entities is needed. Run: python -m spacy download {name}, or name an installed one."
        ) from error
    if not {"ner", "entity_ruler", "span_ruler"} & set(pipeline.pipe_names):
        raise ConfigError(
            f"curate.names_model: {name!r} has only {', '.join(pipeline.pipe_names) or 'no components'}. A component "
            "ner or entity_ruler is needed to find names. Name another pipeline."
        )
    return pipeline


def entities(text: str, pipeline: Any) -> list[Found]:
    """Persons, and addresses: a street with the places next to it. In the order of the text.

    Args:
        text: Any text; longer ones are read in pieces of the pipeline's own greatest length.
        pipeline: What ``load_pipeline`` gave.
    """
    found: list[Found] = []
    streets = list(street_addresses(SearchedText(text)))
    for start, end in _pieces(text, pipeline.max_length):
        for entity in pipeline(text[start:end]).ents:
            first, last = start + entity.start_char, start + entity.end_char
            if entity.label_ in PERSON_LABELS:
                found.append(Found("person", first, last, text[first:last]))
            elif entity.label_ in PLACE_LABELS:
                streets = _with_place(streets, first, last)
    found += [Found("address", first, last, text[first:last]) for first, last in streets]
    return sorted(found, key=lambda one: (one.start, one.end))


def _pieces(text: str, longest_chars: int) -> Iterator[Span]:
    """Stretches of at most this length that make up the text, cut after a line, a sentence or a word if they can be."""
    start = 0
    while start < len(text):
        end = min(start + longest_chars, len(text))
        if end < len(text):
            cuts = (text.rfind(sign, start, end) + len(sign) for sign in ("\n", ". ", " "))
            end = next((cut for cut in cuts if cut > start + longest_chars // 2), end)
        yield start, end
        start = end


def _with_place(streets: list[Span], first: int, last: int) -> list[Span]:
    """The streets, each that stands shortly before this place widened to hold it."""
    return [
        (start, max(end, last)) if start <= first <= end + PLACE_NEAR_CHARS else (start, end) for start, end in streets
    ]
