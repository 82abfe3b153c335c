"""E-mail addresses, phone numbers and IP addresses of persons, replaced by typed placeholders.

Precision comes first, for two reasons: technical text is full of numbers with dots and dashes, and
a placeholder in the wrong place damages a good sentence. So a bare run of digits is a phone number
only where a word says so, and ``1.2.3.4`` is a version until a word says otherwise.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Sequence

PLACEHOLDERS = {"email": "<EMAIL>", "phone": "<PHONE>", "ip": "<IP>"}

EMAIL = re.compile(
    r"(?<![\w.%+-])(?P<name>[\w%+-][\w.%+-]{0,63})@(?P<domain>(?:[A-Za-z0-9-]{1,63}\.){1,4}"
    r"(?:[A-Za-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|dev|app|email|online|cloud))"
    r"(?![\w-]|\.\w)"
)
NOBODYS_DOMAIN = re.compile(r"(.*\.)?example(\.com|\.org|\.net)?$|users\.noreply\.github\.com$", re.I)
NOBODYS_NAMES = frozenset({"git", "svn", "hg"})
"""``git@github.com`` is a way to write a repository's address. Example domains: RFC 2606."""

PHONE_DIGITS = range(7, 16)
"""E.164 allows 15; local numbers have at least 7."""

PHONE = re.compile(
    r"(?<![\w+.(-])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?:x\d{1,6})?(?![\w-])"
    r"|(?<![\w+./(-])(?:00\d{1,3}[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])\d{3}[-. ]\d{4}"
    r"(?:x\d{1,6})?(?![\w-]|\.\d)"
)
SAID_PHONE = re.compile(
    r"(?P<said>\b(?:phone|telephone|tel|fax|mobile|cell|desk|whatsapp|answering at|messages to"
    r"|(?:call|reach|text) (?:me|us|him|her) (?:on|at))\b(?: (?:number|no))?[\s:.#=]{1,4})"
    r"(?P<number>[+(\d][\d ().-]{5,20}\d)",
    re.IGNORECASE,
)
PHONE_SAID_AFTER = re.compile(
    r"(?<![\w.+(-])(?P<number>[+(\d][\d ().-]{5,20}\d)(?=[ -]\(?(?:fax|mobile|cell)\b)", re.IGNORECASE
)
SEVEN_DIGITS = re.compile(r"\d(?:[ ().-]{0,3}\d){6}")
DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}")

IPV4 = re.compile(r"(?<![\w.+-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}|:){1,7}(?![\w:])")
DIGIT_DOT_DIGIT = re.compile(r"\d\.\d")
HEX_BETWEEN_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
SAYS_VERSION = re.compile(r"(version|release|section|chapter|v|\bver\.?|[<>=~!]=?|§)\s*$", re.I)
SAYS_ADDRESS = re.compile(r"\b(ip|ipv4|address(es)?|host|server|gateway|dns|ping)\W{0,3}(\w+\W{1,3})?$", re.I)
VERSION_LIKE_BELOW = 100
"""Four numbers that all lie below this could be a version; an address has a larger one mostly."""

FEWEST_IPV6_GROUPS = 4
"""Shorter forms are met as slices, C++ names and times of day."""


def scrub(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    """Replace personal data of these ``kinds`` (keys of PLACEHOLDERS), and count it by kind."""
    found: Counter[str] = Counter()
    for kind in kinds:
        text = SCRUBBERS[kind](text, found)
    return text, found


def _scrub_email(text: str, found: Counter[str]) -> str:
    if "@" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        if NOBODYS_DOMAIN.match(match["domain"]) or match["name"].lower() in NOBODYS_NAMES:
            return match[0]
        found["email"] += 1
        return PLACEHOLDERS["email"]

    return EMAIL.sub(replaced, text)


def _scrub_phone(text: str, found: Counter[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        groups = match.groupdict()
        number = groups.get("number", match[0])
        if sum(map(str.isdigit, number)) not in PHONE_DIGITS or DATE.match(number):
            return match[0]
        found["phone"] += 1
        return (groups.get("said") or "") + PLACEHOLDERS["phone"]

    if not SEVEN_DIGITS.search(text):
        return text
    for pattern in (PHONE, SAID_PHONE, PHONE_SAID_AFTER):
        text = pattern.sub(replaced, text)
    return text


def _scrub_ip(text: str, found: Counter[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - 24) : match.start()]
        if not _is_a_hosts_address(match[0], before):
            return match[0]
        found["ip"] += 1
        return PLACEHOLDERS["ip"]

    if DIGIT_DOT_DIGIT.search(text):
        text = IPV4.sub(replaced, text)
    return IPV6.sub(replaced, text) if HEX_BETWEEN_COLONS.search(text) else text


def _is_a_hosts_address(candidate: str, before: str) -> bool:
    """Whether this names a machine out there: not a version, nor a private or reserved address."""
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    if not address.is_global or SAYS_VERSION.search(before):
        return False
    if address.version == 6:
        return sum(map(bool, candidate.split(":"))) >= FEWEST_IPV6_GROUPS
    is_version_like = all(int(part) < VERSION_LIKE_BELOW for part in candidate.split("."))
    return not is_version_like or SAYS_ADDRESS.search(before) is not None


SCRUBBERS: dict[str, Callable[[str, Counter[str]], str]] = {
    "email": _scrub_email,
    "phone": _scrub_phone,
    "ip": _scrub_ip,
}
