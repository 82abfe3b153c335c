"""Secrets in text: private keys, tokens of known services, passwords in assignments and links.

The forms of tokens are as their makers document them; the list follows the rules of gitleaks
(https://github.com/gitleaks/gitleaks, config/gitleaks.toml).
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from hftrain.corpus.personal_data import SearchedText, Span

PEM_BEGIN = re.compile(r"-----BEGIN (?P<label>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----")
PEM_BODY = re.compile(r"(?:\s*(?:[A-Za-z0-9+/=]{16,}|[A-Za-z-]{1,20}: [^\n]{1,80}))*(?:\s*[A-Za-z0-9+/=]{1,76})?")
PEM_LONGEST_CHARS = 20_000

UNDERSCORED = re.compile(
    r"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}|hf_[A-Za-z0-9]{30,40}|npm_[A-Za-z0-9]{36}"
    r"|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|sbp_[a-f0-9]{40})(?![A-Za-z0-9_])"
)
HYPHENED = re.compile(
    r"(?<![\w-])(?:glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{20,}|xapp-[\w-]{20,}|pypi-AgE[\w-]{50,}"
    r"|sk-(?=[\w-]{0,60}[0-9])(?:proj-|ant-|or-|svcacct-)?[\w-]{20,})(?![\w-])"
)
LITERAL = (
    ("AKIA", re.compile(r"(?<![A-Za-z0-9])AKIA[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("ASIA", re.compile(r"(?<![A-Za-z0-9])ASIA[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("AIza", re.compile(r"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    ("eyJ", re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}(?![\w-])")),
    ("SG.", re.compile(r"(?<![\w-])SG\.[\w-]{16,32}\.[\w-]{16,64}(?![\w-])")),
    ("earer ", re.compile(r"(?<=earer )(?=[\w.~+/-]*[0-9])[\w.~+/-]{20,400}=*")),
    ("hooks.slack.com", re.compile(r"(?<=hooks\.slack\.com)/services/T\w{6,}/B\w{6,}/\w{16,}")),
)
LONG_AFTER_UNDERSCORE = re.compile(r"_[A-Za-z0-9]{16}")
LONG_AFTER_HYPHEN = re.compile(r"-[A-Za-z0-9][A-Za-z0-9_-]{19}")

VALUE = (
    r"(?![=:/\n])>?[ \t]{0,4}[\"'`]?(?=[^\s\"'`<>{}()\[\],;\\]{0,200}[0-9])"
    r"(?P<value>[^\s\"'`<>{}()\[\],;\\]{8,200})(?P<after>[\"'`(\[{.]?)"
)
ASSIGNED = (re.compile("=" + VALUE), re.compile(":" + VALUE))
"""Two patterns, since one that begins with a single character is sought five times as fast."""

SECRET_NAME = re.compile(
    r"(?:(?P<password>pass(?:word|wd|phrase)?|pwd)|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|auth[_-]?key"
    r"|client[_-]?secret|private[_-]?key|secret[_-]?key|credentials?)[\"'`\])]{0,2}[ \t]{0,4}:?$",
    re.IGNORECASE,
)
FEWEST_BITS_PER_CHAR = 3.0
"""Of a value that is random; eight different characters have 3. English words of this length reach it
too, so a value must also mix kinds of characters."""

BITS_BELOW_GREATEST = 0.3
"""A short value cannot reach as many bits; one character met twice among eight costs 0.25."""

NOBODYS_SECRET = re.compile(
    r"example|sample|dummy|passw|change.?me|your|placeholder|x{4}|\*{3}|\.{3}|1234567|abcdef|s3cr3t|foo|none$|null$|true$|false$",
    re.IGNORECASE,
)

URL_CREDENTIALS = re.compile(
    r"://(?P<pair>(?P<user>[^\s/@:\"'<>{}()\[\]$]{0,64}):(?P<password>[^\s/@\"'<>{}()\[\]$]{1,128}))@(?=[\w\[-])"
)
NOBODYS_PASSWORD = re.compile(r"(?:pass(?:word|wd)?|pwd|secret|token|\.{2,}|x+|\*+|%s)$", re.IGNORECASE)


def keys(searched: SearchedText) -> Iterator[Span]:
    """Private key blocks, tokens, and random values assigned to a name such as password."""
    text = searched.text
    yield from _private_keys(text)
    for match in _tokens(text):
        if _bits_per_char(match[0]) >= FEWEST_BITS_PER_CHAR:
            yield match.span()
    for match in (match for sign in ASSIGNED for match in sign.finditer(text)):
        name = SECRET_NAME.search(text, max(match.start() - 40, 0), match.start())
        if name and _is_secret(match, is_password=name["password"] is not None):
            yield match.span("value")


def _private_keys(text: str) -> Iterator[Span]:
    """From BEGIN to END; where the end is missing, to the last line that could belong to it."""
    start = text.find("-----BEGIN")
    while start >= 0:
        end = start + 10
        if begin := PEM_BEGIN.match(text, start):
            closing = f"-----END {begin['label']}-----"
            place = text.find(closing, begin.end(), begin.end() + PEM_LONGEST_CHARS)
            body = PEM_BODY.match(text, begin.end(), begin.end() + PEM_LONGEST_CHARS)
            end = place + len(closing) if place >= 0 else body.end() if body else begin.end()
            if place >= 0 or end > begin.end() + 40:
                yield start, end
        start = text.find("-----BEGIN", end)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """What its first characters give away as a token of some service."""
    for trigger, pattern in ((LONG_AFTER_UNDERSCORE, UNDERSCORED), (LONG_AFTER_HYPHEN, HYPHENED)):
        end = 0
        for sign in trigger.finditer(text):
            match = pattern.search(text, max(sign.start() - 24, end), sign.start() + 400)
            if match and match.start() <= sign.start():
                end = match.end()
                yield match
    for literal, pattern in LITERAL:
        if literal in text:
            yield from pattern.finditer(text)


def _is_secret(match: re.Match[str], *, is_password: bool) -> bool:
    """Whether an assigned value looks random and is not a call, a name or a stand-in."""
    value, after = match["value"], match["after"]
    is_quoted = match[0][-1 - len(value) - len(after)] in "\"'`"
    if after in ("(", "[", "{", ".") and not is_quoted:
        return False  # password = getpass.getpass()
    if value.startswith(("$", "%", "/", "http:", "https:", "self.", "os.")):
        return False
    if not is_quoted and not is_password and not any(char.isupper() for char in value):
        return False
    return _is_random(value)


def _is_random(value: str) -> bool:
    """Letters and digits mixed, few of them twice, and no word that says it is a stand-in."""
    is_mixed = any(map(str.isalpha, value)) and any(map(str.isdigit, value))
    enough_bits = min(FEWEST_BITS_PER_CHAR, math.log2(len(value)) - BITS_BELOW_GREATEST)
    return is_mixed and _bits_per_char(value) >= enough_bits and not NOBODYS_SECRET.search(value)


def _bits_per_char(value: str) -> float:
    """H = -sum(p log2 p) over the shares p of its characters; log2 of the length at most."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def url_credentials(searched: SearchedText) -> Iterator[Span]:
    """The name and password in ``https://name:password@host`` and in connection strings."""
    text = searched.text
    if "@" not in text or "://" not in text:
        return
    for match in URL_CREDENTIALS.finditer(text):
        if not NOBODYS_PASSWORD.match(match["password"]) and match["password"] != match["user"]:
            yield match.span("pair")
