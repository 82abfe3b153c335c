"""Personal data found, and replaced by typed placeholders, or named as the reason to drop a text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hftrain.corpus import contact_data, credentials, entities, identity_numbers, payment_data
from hftrain.corpus.personal_data import (
    DROP,
    ENTITY_PLACEHOLDERS,
    LEAVE,
    PLACEHOLDERS,
    Found,
    SearchedText,
    Span,
)
from hftrain.errors import ConfigError

Finder = Callable[[SearchedText], Iterator[Span]]

FINDERS: dict[str, Finder] = {
    "key": credentials.keys,
    "url_credentials": credentials.url_credentials,
    "email": contact_data.emails,
    "iban": payment_data.ibans,
    "card": payment_data.cards,
    "wallet": payment_data.wallets,
    "national_id": identity_numbers.national_ids,
    "mac_address": contact_data.mac_addresses,
    "ip": contact_data.ips,
    "date_of_birth": identity_numbers.dates_of_birth,
    "phone": contact_data.phones,
    "street_address": entities.street_addresses,
}
"""What finds each kind of PLACEHOLDERS, in its order: of two that overlap the earlier kind is taken."""


def find(
    text: str, kinds: Iterable[str], names_model: str | None = None, number_places: Sequence[int] | None = None
) -> list[Found]:
    """The personal data of these ``kinds``, in the order of the text, none overlapping another.

    Of two that overlap, the kind that comes first in PLACEHOLDERS is taken, and of one kind the
    leftmost, then the longest.

    Args:
        text: Any text.
        kinds: Keys of PLACEHOLDERS or ENTITY_PLACEHOLDERS; their order does not matter.
        names_model: Name of the spaCy pipeline for the kinds of ENTITY_PLACEHOLDERS.
        number_places: What ``numbers_in_text.number_places`` says of this text, if it was asked.

    Raises:
        ConfigError: The pipeline is needed and not named, or it cannot be loaded.
    """
    wanted = frozenset(kinds)
    searched = SearchedText(text, number_places)
    taken: list[Found] = []
    for kind, finder in FINDERS.items():
        if kind in wanted:
            spans = sorted(finder(searched), key=lambda span: (span[0], -span[1]))
            _take(taken, (Found(kind, start, end, text[start:end]) for start, end in spans))
    if not wanted.isdisjoint(ENTITY_PLACEHOLDERS):
        if names_model is None:
            raise ConfigError(
                "curate.names_model: not set, but person or address is asked for. Names are found by a spaCy "
                "pipeline. Name an installed one, or leave these kinds out."
            )
        named = entities.entities(text, entities.load_pipeline(names_model))
        _take(taken, (one for one in named if one.kind in wanted))
    taken.sort(key=lambda one: one.start)
    return taken


def _take(taken: list[Found], candidates: Iterable[Found]) -> None:
    """Add the candidates, which come from left to right, that overlap nothing in ``taken``."""
    before = sorted((one.start, one.end) for one in taken)
    place, last_end = 0, 0
    for one in candidates:
        while place < len(before) and before[place][1] <= one.start:
            place += 1
        is_free = place == len(before) or one.end <= before[place][0]
        if is_free and one.start >= last_end and one.end > one.start:
            taken.append(one)
            last_end = one.end


def scrub(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    """Replace personal data of these ``kinds`` (keys of PLACEHOLDERS), and count it by kind."""
    return _replaced(text, find(text, kinds))


def clean(
    text: str,
    actions: Mapping[str, str],
    names_model: str | None = None,
    number_places: Sequence[int] | None = None,
) -> tuple[str, Counter[str], Found | None]:
    """Do with each kind of personal data in a text what ``actions`` says.

    Args:
        text: Any text.
        actions: ``replace``, ``drop`` or ``leave`` by kind; a kind not named is left, and not looked for.
        names_model: Name of the spaCy pipeline that finds persons and addresses, if they are asked for.
        number_places: What ``numbers_in_text.number_places`` says of this text, if it was asked.

    Returns:
        The text with placeholders, how many of each kind were replaced, and what the text is to be
        dropped for: the first find of a kind whose action is ``drop``. The text is then unchanged.

    Raises:
        ConfigError: The pipeline is needed and not named, or it cannot be loaded.
    """
    kinds = [kind for kind, action in actions.items() if action != LEAVE]
    found = find(text, kinds, names_model=names_model, number_places=number_places)
    for one in found:
        if actions[one.kind] == DROP:
            return text, Counter(), one
    return *_replaced(text, found), None


def _replaced(text: str, found: Sequence[Found]) -> tuple[str, Counter[str]]:
    if not found:
        return text, Counter()
    parts, last = [], 0
    for one in found:
        parts += [text[last : one.start], (PLACEHOLDERS.get(one.kind) or ENTITY_PLACEHOLDERS[one.kind])]
        last = one.end
    return "".join([*parts, text[last:]]), Counter(one.kind for one in found)


__all__ = ["ENTITY_PLACEHOLDERS", "PLACEHOLDERS", "Found", "clean", "find", "scrub"]
