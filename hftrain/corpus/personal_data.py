"""The kinds of personal data, the placeholder of each, and what can be done with one that is found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

PLACEHOLDERS = {
    "key": "<KEY>",
    "url_credentials": "<CREDENTIALS>",
    "email": "<EMAIL>",
    "iban": "<IBAN>",
    "card": "<CARD>",
    "wallet": "<WALLET>",
    "national_id": "<NATIONAL_ID>",
    "mac_address": "<MAC_ADDRESS>",
    "ip": "<IP>",
    "date_of_birth": "<DATE_OF_BIRTH>",
    "phone": "<PHONE>",
    "street_address": "<ADDRESS>",
}
"""What stands for each kind that patterns find. Where two overlap the earlier kind is taken: a key
may hold what looks like a phone number, never the other way round."""

ENTITY_PLACEHOLDERS = {"person": "<PERSON>", "address": "<ADDRESS>"}
"""The kinds that need a model of names; they come after the others."""

KINDS = (*PLACEHOLDERS, *ENTITY_PLACEHOLDERS)
OPT_IN = frozenset({"street_address", *ENTITY_PLACEHOLDERS})
DEFAULT_KINDS = tuple(kind for kind in PLACEHOLDERS if kind not in OPT_IN)
"""What is precise enough to be replaced unasked. The opt-in kinds also find the inventor's name and
the address of a museum, which a text may be about."""

REPLACE, DROP, LEAVE = "replace", "drop", "leave"
ACTIONS = (REPLACE, DROP, LEAVE)

Span = tuple[int, int]

NUMBER = re.compile(
    "[0-9](?:(?:[ ().\\-/\u00a0\u2011\u202f]{0,3}[0-9]){5}|[0-9][A-T][0-9]{2}[A-Z][0-9]{3}|[1-9A-HJ-NP-Za-km-z]{24})"
)
"""Where anything numeric that is personal may stand: six digits with few signs between them, the end of
an Italian tax code, or a long run of base 58."""

SIX_DIGITS_CHARS, LONG_RUN_CHARS = 21, 25
"""At most, and at least, that many characters has a match of ``NUMBER``."""

BEFORE_CHARS, AFTER_CHARS = 64, 50
"""Kept around a number: the longest form and the words that tell what it is."""


MASKED_CHARS = 4


class Found(NamedTuple):
    """One piece of personal data: ``text[start:end] == value``."""

    kind: str
    start: int
    end: int
    value: str

    @property
    def masked(self) -> str:
        """The value as an account of drops may show it: its first characters, and how many there are."""
        return f"{self.value[:MASKED_CHARS]}… ({len(self.value)} characters)"


@dataclass
class SearchedText:
    """A text, and the stretches of it that are worth a close look, found once for all kinds."""

    text: str
    number_places: Sequence[int] | None = None
    """Where a match of ``NUMBER`` may begin, as ``number_places`` gives it; None: anywhere."""

    @cached_property
    def numeric_stretches(self) -> list[Span]:
        """The surroundings of all numbers of six digits and more, in order, joined where they touch."""
        stretches: list[Span] = []
        last = -1
        for match in self._numbers():
            start, end = max(match.start() - BEFORE_CHARS, 0), match.end() + AFTER_CHARS
            if start <= last:
                start = stretches.pop()[0]
            stretches.append((start, end))
            last = end
        return stretches

    def _numbers(self) -> Iterator[re.Match[str]]:
        if self.number_places is None:
            yield from NUMBER.finditer(self.text)
            return
        end = 0
        for place in self.number_places:
            if place >= end and (match := NUMBER.match(self.text, place)):
                end = match.end()
                yield match

    def near_numbers(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """The matches of ``pattern`` within the numeric stretches."""
        size = len(self.text)
        for start, end in self.numeric_stretches:
            for match in pattern.finditer(self.text, start, end):
                if match.end() < end or end >= size:  # one that a stretch's end cut short is none
                    yield match

    def is_said(self, pattern: re.Pattern[str], start: int, end: int, *, before: int = 60, after: int = 30) -> bool:
        """Whether a telling word stands shortly before or after the span."""
        text = self.text
        return bool(pattern.search(text[max(start - before, 0) : start]) or pattern.search(text[end : end + after]))


def actions(given: Mapping[str, str]) -> dict[str, str]:
    """An action for each kind: those given, and else ``replace`` for DEFAULT_KINDS, ``leave`` for the others."""
    return {kind: given.get(kind, REPLACE if kind in DEFAULT_KINDS else LEAVE) for kind in KINDS}
