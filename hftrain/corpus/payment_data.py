"""Bank accounts, payment cards and wallets, by their form and their check digits."""

import re
from collections.abc import Iterator

from hftrain.corpus.checksums import IBAN_LENGTHS, digits_of, is_base58check, is_bech32, is_iban, is_luhn
from hftrain.corpus.personal_data import SearchedText, Span

IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
SHORTEST_IBAN = min(IBAN_LENGTHS.values())
SAYS_IBAN = re.compile(r"\biban\b|\b(?:bank )?account (?:number|no)\b|\bwire transfer\b|\bkonto", re.I)

CARD = re.compile(r"(?<![\w+/.,-])[0-9](?:[ \u00a0-]?[0-9]){11,18}(?![\w-]|[.,][0-9])")
CARD_GROUPS = re.compile(
    r"[0-9]{12,19}|[0-9]{4}([ \u00a0-])(?:[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{6}\1[0-9]{4,5})"
)
SAYS_CARD = re.compile(
    r"\b(?:card|credit|debit|visa|master ?card|maestro|amex|american express|diners|discover|jcb|unionpay|cc|ccn"
    r"|cvv|cvc|carte|karte|kreditkarte|tarjeta|carta|cart[aã]o)\b",
    re.I,
)
ISSUERS = (
    ("Visa", 4, 4, (13, 16, 19)),
    ("Mastercard", 51, 55, (16,)),
    ("Mastercard", 2221, 2720, (16,)),
    ("American Express", 34, 34, (15,)),
    ("American Express", 37, 37, (15,)),
    ("Diners Club", 300, 305, (14, 16)),
    ("Diners Club", 36, 36, (14, 16)),
    ("Diners Club", 38, 39, (14, 16)),
    ("Discover", 6011, 6011, (16, 19)),
    ("Discover", 644, 659, (16, 19)),
    ("JCB", 3528, 3589, (16, 19)),
    ("JCB", 2131, 2131, (15,)),
    ("JCB", 1800, 1800, (15,)),
    ("UnionPay", 62, 62, (16, 17, 18, 19)),
    ("Maestro", 50, 50, tuple(range(12, 20))),
    ("Maestro", 56, 69, tuple(range(12, 20))),
)
"""Name, least and greatest first digits, lengths. Source: https://en.wikipedia.org/wiki/Payment_card_number"""

TELLING_CARD_DIGITS = range(14, 17)
"""Shorter ones (old Visa, Maestro) are also article numbers and times in milliseconds, longer ones seeds and row
numbers: only where a word says card."""

CALL = re.compile(r"\w\($")
"""What a number in code stands after: ``default_rng(2435908729190400)``."""

FEWEST_DIFFERENT_DIGITS = 2

BASE58_ADDRESS = re.compile(r"(?<![A-Za-z0-9])[13][1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])")
BECH32_ADDRESS = re.compile(r"(?<![A-Za-z0-9])bc1[a-z0-9]{11,71}(?![A-Za-z0-9])")
ETHEREUM_ADDRESS = re.compile(r"(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])")
FEWEST_DIFFERENT_HEX = 8
"""An address of one repeated digit is a constant, not a wallet."""


def ibans(searched: SearchedText) -> Iterator[Span]:
    """Account numbers with a right checksum; with a wrong one where a word says what it is."""
    for match in searched.near_numbers(IBAN):
        country = match[0][:2]
        length = IBAN_LENGTHS.get(country.upper())
        end = _end_after(match, length) if length else None
        if end is None:
            continue
        account = re.sub("[^A-Z0-9]", "", searched.text[match.start() : end].upper())
        said = searched.is_said(SAYS_IBAN, match.start(), end)
        if said or (is_iban(account) and country.isupper()):
            yield match.start(), end


def _end_after(match: re.Match[str], length: int) -> int | None:
    """Where the first ``length`` letters and digits end, if a word ends there: words may follow."""
    seen = 0
    for place, char in enumerate(match[0], match.start()):
        seen += char.isalnum()
        if seen == length:
            following = match.string[place + 1 : place + 2]
            return None if following.isalnum() else place + 1
    return None


def cards(searched: SearchedText) -> Iterator[Span]:
    """Card numbers: of a known issuer, with a right checksum, and grouped as on a card.

    Near a telling word one of issuer and checksum is enough: a digit may be wrong, an issuer new.
    """
    for match in searched.near_numbers(CARD):
        digits = "".join(map(str, digits_of(match[0])))
        if len(set(digits)) < FEWEST_DIFFERENT_DIGITS:
            continue
        by_issuer, by_checksum = has_issuer(digits), is_luhn(digits)
        before = searched.text[max(match.start() - 2, 0) : match.start()]
        is_telling = len(digits) in TELLING_CARD_DIGITS and CARD_GROUPS.fullmatch(match[0]) and not CALL.search(before)
        if (by_issuer and by_checksum and is_telling) or (
            (by_issuer or by_checksum) and searched.is_said(SAYS_CARD, *match.span())
        ):
            yield match.span()


def has_issuer(digits: str) -> bool:
    """Whether some company gives out cards with these first digits and this length."""
    return any(
        len(digits) in lengths and least <= int(digits[: len(str(least))]) <= greatest
        for _, least, greatest, lengths in ISSUERS
    )


def wallets(searched: SearchedText) -> Iterator[Span]:
    """Bitcoin addresses with a right checksum, and Ethereum addresses."""
    text = searched.text
    for match in searched.near_numbers(BASE58_ADDRESS):
        if is_base58check(match[0]):
            yield match.span()
    if "bc1" in text:
        for match in BECH32_ADDRESS.finditer(text):
            if is_bech32(match[0]):
                yield match.span()
    if "0x" in text:
        for match in ETHEREUM_ADDRESS.finditer(text):
            if len(set(match[0])) >= FEWEST_DIFFERENT_HEX:
                yield match.span()
