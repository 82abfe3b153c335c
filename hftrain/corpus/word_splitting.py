"""Words as the reference filters count them: a chunk between white space, cut into its pieces.

The published web filters (Gopher, C4, FineWeb) are run today with spaCy's English tokenizer, which
parts punctuation and contractions from words: ``(don't!)`` is ``( do n't ! )``. Near a threshold the
way of counting decides. This module cuts as that tokenizer does, from its published algorithm and
tables, and needs nothing but ``re``.

Source: https://spacy.io/usage/linguistic-features#how-tokenizer-works (spaCy 3.8, MIT licence);
tables in ``hftrain.corpus.word_tables``. Two differences: an address of more than ``LONGEST_ADDRESS``
characters is not looked for, and a special case is never put together across white space.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from hftrain.corpus import word_tables

LONGEST_ADDRESS = 2000
SUFFIX_REACH = 24
"""No suffix but a run of dots is longer; looking at the tail alone keeps long chunks linear."""

FRAMED = re.compile(
    r"""([“"(\[‘]?)((?:[A-Za-z]+[-—–])*[A-Za-z]+|[0-9]+)(['’]s)?([,;:?!.]?[”"’]?|[)\]][,.]?)"""
).fullmatch
DIGIT = re.compile("[0-9]").search
MAY_BE_CUT = re.compile(r"[.+\-*^,~:<>=/]|[^\x00-\x7f]").search
JOINT = re.compile("([-—–])")
"""The usual shapes (``“well-known,”``, ``(John’s)``), for speed: the general way gives the same."""


@dataclass(frozen=True)
class Tables:
    """What is looked up while a chunk is cut."""

    special: dict[str, tuple[str, ...]]
    longest_special: int
    rejoined: dict[tuple[str, str], list[tuple[tuple[str, ...], tuple[str, ...]]]]
    prefixes: frozenset[str]
    suffixes: frozenset[str]
    before_full_stop: frozenset[str]
    upper: frozenset[str]
    infixes: re.Pattern[str]
    quantity: Callable[[str], re.Match[str] | None]
    address: Callable[[str], re.Match[str] | None]
    host: Callable[[str], re.Match[str] | None]
    """An address without a scheme or a user, for speed."""


@cache
def tables() -> Tables:
    """The tables, made on first use."""
    lower, upper = word_tables.lower_letters(), word_tables.upper_letters()
    icons = word_tables.symbols()
    quotes, punctuation = word_tables.QUOTES, word_tables.PUNCTUATION
    special = word_tables.special_cases()
    found = Tables(
        special=special,
        longest_special=max(map(len, special)),
        rejoined={},
        prefixes=frozenset("§%=—–" + punctuation + quotes + word_tables.CURRENCIES) | icons,
        suffixes=frozenset(punctuation + quotes + "—–") | icons,
        before_full_stop=frozenset("0123456789%²-+|" + punctuation + quotes) | lower,
        upper=frozenset(upper),
        infixes=re.compile(word_tables.infix_pattern()),
        quantity=re.compile(word_tables.QUANTITY).search,
        address=re.compile(word_tables.ADDRESSEE + word_tables.host_pattern()).match,
        host=re.compile(word_tables.host_pattern()).match,
    )
    for orth, parts in special.items():
        affixed = _pieces(orth, found, {})
        if len(affixed) > 1 and tuple(affixed) != parts and _has_mark(orth, found):
            found.rejoined.setdefault((affixed[0], affixed[1]), []).append((tuple(affixed), parts))
    return found


def pieces(chunk: str) -> Sequence[str]:
    """The words and marks of a text without white space, in order; joined they are the text again."""
    held = tables()
    parts = held.special.get(chunk)
    if parts is not None:
        return parts
    framed = FRAMED(chunk)
    if framed and (found := _framed(framed, held)):
        return found
    return _rejoined(_pieces(chunk, held, held.special), held)


def _framed(framed: re.Match[str], held: Tables) -> list[str]:
    """The pieces of a chunk of a usual shape; none if it may hold a special case."""
    opening, joined, owner, closing = framed.groups()
    if joined in held.special or (owner and joined + owner in held.special):
        return []
    words = JOINT.split(joined)
    last = words[-1]
    found = [opening, *words] if opening else words
    if owner:
        found.append(owner)
    if closing:
        if closing[0] == "." and not owner and last[-1] not in held.before_full_stop:
            return []
        found += closing
    return [] if not held.rejoined.keys().isdisjoint(zip(found, found[1:], strict=False)) else found


def _pieces(chunk: str, held: Tables, special: dict[str, tuple[str, ...]]) -> list[str]:
    """Take marks from both ends while there are any, then cut what is left at its inner marks."""
    begin, end, longest = 0, len(chunk), held.longest_special
    left: list[str] = []
    right: list[str] = []
    has_digit = DIGIT(chunk) is not None
    while begin < end and not (end - begin <= longest and chunk[begin:end] in special):
        first, last = chunk[begin], chunk[end - 1]
        prefix = 1 if first in held.prefixes else _rare_prefix(chunk, begin, end) if first in "+.UCA" else 0
        if prefix and end - begin - prefix <= longest and chunk[begin + prefix : end] in special:
            left.append(chunk[begin : begin + prefix])
            begin += prefix
            break
        if begin + prefix < end and (last in held.suffixes or last in ".sS" or has_digit):
            suffix = _suffix(chunk, begin + prefix, end, held)
        else:
            suffix = 0
        if suffix and end - begin - suffix <= longest and chunk[begin : end - suffix] in special:
            right.append(chunk[end - suffix : end])
            end -= suffix
            break
        if prefix:
            left.append(chunk[begin : begin + prefix])
        if suffix:
            right.append(chunk[end - suffix : end])
        elif not prefix:
            break
        begin, end = begin + prefix, end - suffix
    if begin < end:
        left += _middle(chunk[begin:end], held, special)
    return left + right[::-1] if right else left


def _middle(text: str, held: Tables, special: dict[str, tuple[str, ...]]) -> Sequence[str]:
    """What is left between prefixes and suffixes: one word, or several joined by hyphens and the like."""
    parts = special.get(text)
    if parts is not None:
        return parts
    if not MAY_BE_CUT(text):
        return (text,)
    if "." in text and len(text) <= LONGEST_ADDRESS:
        addressed = "@" in text or "://" in text
        if (held.address if addressed else held.host)(text):
            return (text,)
    found, start = [], 0
    for match in held.infixes.finditer(text):
        if match.start() != start:
            found.append(text[start : match.start()])
        found.append(match[0])
        start = match.end()
    if start < len(text):
        found.append(text[start:])
    return found


def _rare_prefix(chunk: str, begin: int, end: int) -> int:
    """Characters of the mark at the beginning, where that is a plus, dots, or a currency; 0 if there is none."""
    first = chunk[begin]
    if first == "+":
        return 0 if begin + 1 < end and chunk[begin + 1] in "0123456789" else 1
    if first == ".":
        run = begin
        while run < end and chunk[run] == ".":
            run += 1
        return run - begin if run - begin > 1 else 0
    for sign in ("US$", "C$", "A$"):
        if begin + len(sign) <= end and chunk.startswith(sign, begin):
            return len(sign)
    return 0


def _suffix(chunk: str, begin: int, end: int, held: Tables) -> int:
    """Characters of the mark at the end; 0 if there is none."""
    last = chunk[end - 1]
    if last in held.suffixes:
        return 2 if last == "…" and end - begin > 1 and chunk[end - 2] == "…" else 1
    if last == ".":
        run = end
        while run > begin and chunk[run - 1] == ".":
            run -= 1
        return end - run if end - run > 1 else _full_stop(chunk[max(begin, end - 3) : end], held)
    if last in "sS" and end - begin > 1 and chunk[end - 2] in "'’":
        return 2
    match = held.quantity(chunk[max(begin, end - SUFFIX_REACH) : end])
    return len(match[0]) if match else 0


def _full_stop(tail: str, held: Tables) -> int:
    """1 if the full stop at the end of ``tail`` is a mark of its own; it is not after one capital letter."""
    if len(tail) < 2:
        return 0
    before = tail[-2]
    if before in held.before_full_stop:
        return 1
    if len(tail) < 3:
        return 0
    both_upper = before in held.upper and tail[-3] in held.upper
    return int(both_upper or (tail[-3] == "°" and before in "FfCcKk"))


def _has_mark(orth: str, held: Tables) -> bool:
    """Whether any general rule would cut the text: only such special cases are put together again."""
    ends = orth[0] in held.prefixes or _rare_prefix(orth, 0, len(orth)) or _suffix(orth, 0, len(orth), held)
    return bool(ends) or held.infixes.search(orth) is not None


def _rejoined(found: list[str], held: Tables) -> Sequence[str]:
    """Put together what is a special case (``hello:)``, ``non-Mr.``): the longest first, then the leftmost."""
    if len(found) == 1 or held.rejoined.keys().isdisjoint(zip(found, found[1:], strict=False)):
        return found
    matches = [
        (len(wanted), -place, parts)
        for place, pair in enumerate(zip(found, found[1:], strict=False))
        for wanted, parts in held.rejoined.get(pair, ())
        if tuple(found[place : place + len(wanted)]) == wanted
    ]
    taken: set[int] = set()
    chosen: dict[int, tuple[int, tuple[str, ...]]] = {}
    for length, negative, parts in sorted(matches, reverse=True):
        place = -negative
        if place not in taken and place + length - 1 not in taken:
            chosen[place] = (length, parts)
        taken.update(range(place, place + length))
    result: list[str] = []
    place = 0
    while place < len(found):
        length, parts = chosen.get(place, (1, (found[place],)))
        result += parts
        place += length
    return result
