"""What of a written answer is compared with the right ones, and when the two are the same."""

import re
import string
from collections.abc import Callable, Mapping, Sequence

NOTHING = "[invalid]"
"""Stands for an answer in which nothing was found; as in the harness."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_HASHES = re.compile(r"#### (\-?[0-9\.\,]+)")
_LETTER = re.compile(r"\b([A-Z])\b")


def is_match(answer: str, right: Sequence[str], extract: str) -> bool:
    """Whether what is taken out of an answer is one of the right ones."""
    found = EXTRACTORS[extract](answer)
    same = _plain_number if extract in NUMBERS else _plain_words if extract == "words" else str.strip
    return same(found) in {same(each) for each in right}


def until_first(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stops."""
    for stop in stops:
        text = text.split(stop, 1)[0]
    return text


def _text(answer: str) -> str:
    return answer.strip()


def _after_hashes(answer: str) -> str:
    found = _HASHES.search(answer)
    return found[1] if found else NOTHING


def _last_number(answer: str) -> str:
    found = _FLEXIBLE.findall(answer)
    return next((part for part in found[-1] if part), NOTHING).strip() if found else NOTHING


def _first_number(answer: str) -> str:
    found = _FLEXIBLE.findall(answer)
    return next((part for part in found[0] if part), NOTHING).strip() if found else NOTHING


def _letter(answer: str) -> str:
    found = _LETTER.search(answer)
    return found[1] if found else NOTHING


def _plain_number(text: str) -> str:
    """As the harness' gsm8k: without commas, dollars, what stands before ``#### `` and a full stop at the end."""
    for pattern in (",", r"\$", r"(?s).*#### ", r"\.$"):
        text = re.sub(pattern, "", text)
    return text.lower().strip()


def _plain_words(text: str) -> str:
    """As the harness' triviaqa: in small letters, without punctuation."""
    return text.strip().lower().translate(_PUNCTUATION)


NUMBERS = frozenset({"after_hashes", "last_number", "first_number"})
EXTRACTORS: Mapping[str, Callable[[str], str]] = {
    "text": _text,
    "words": _text,
    "after_hashes": _after_hashes,
    "last_number": _last_number,
    "first_number": _first_number,
    "letter": _letter,
}
