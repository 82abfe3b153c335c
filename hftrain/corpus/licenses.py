"""Licences by name: other spellings brought to one, families by ``*``, and SPDX expressions."""

import functools
import re
from collections.abc import Callable

UNKNOWN = "unknown"
"""The licence of a row that states none; it can be allowed and denied by this name."""

CACHED_VALUES = 65_536

SPELLINGS = {
    "apache": "apache-2.0",
    "apache-software": "apache-2.0",
    "apache-2": "apache-2.0",
    "mit-x11": "mit",
    "expat": "mit",
    "x11": "mit",
    "bsd": "bsd-3-clause",
    "new-bsd": "bsd-3-clause",
    "modified-bsd": "bsd-3-clause",
    "bsd-3": "bsd-3-clause",
    "3-clause-bsd": "bsd-3-clause",
    "simplified-bsd": "bsd-2-clause",
    "bsd-2": "bsd-2-clause",
    "2-clause-bsd": "bsd-2-clause",
    "gplv2": "gpl-2.0",
    "gplv3": "gpl-3.0",
    "gpl-2": "gpl-2.0",
    "gpl-3": "gpl-3.0",
    "lgpl-2": "lgpl-2.0",
    "lgpl-3": "lgpl-3.0",
    "agpl-3": "agpl-3.0",
    "mpl-2": "mpl-2.0",
    "mozilla-public-2.0": "mpl-2.0",
    "mozilla-public-2": "mpl-2.0",
    "psf": "psf-2.0",
    "python-software-foundation": "psf-2.0",
    "cc0": "cc0-1.0",
    "cc-zero": "cc0-1.0",
    "cc0-1": "cc0-1.0",
    "cc0-1.0-universal": "cc0-1.0",
    "publicdomain": "public-domain",
    "the-unlicense": "unlicense",
    "none": UNKNOWN,
    "noassertion": UNKNOWN,
    "n-a": UNKNOWN,
    "other": UNKNOWN,
    "": UNKNOWN,
}
"""Other spellings of SPDX names, after the general changes of ``license_form``."""

WORDS = (
    (r"creative[ -]?commons", "cc"),
    (r"\bgnu (?=[al]?gpl)", ""),
    (r"gnu lesser general public", "lgpl"),
    (r"gnu library general public", "lgpl"),
    (r"gnu affero general public", "agpl"),
    (r"(?:gnu )?general public", "gpl"),
    (r"attribution", "by"),
    (r"share[ -]?alike", "sa"),
    (r"non[ -]?commercial", "nc"),
    (r"no[ -]?deriv(?:ative)?s?(?: works)?", "nd"),
    (r"\bzero\b", "0"),
    (r"\bor (?:any )?later(?: version)?|(?<=\d)\+", " or-later"),
    (r"\b(?:the|licen[cs]ed?|version|ver|international|unported|generic|only)\b|\bv(?=\.? ?\d)", " "),
)
"""Words to SPDX's short ones, in this order. Source: https://spdx.org/licenses/"""

CC_URL = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)/([\d.]+)|publicdomain/zero/([\d.]+))")
JOINS = frozenset({"AND", "OR", "WITH"})
SIGN = re.compile(
    r"([()]|\b(?:AND|WITH|OR)\b|(?<=[\s)])(?:or(?! (?:any )?(?:later|newer))|and)(?=[\s(])|(?<=\w)/(?=\w))"
)
"""What joins the names of an expression; a slash between two, an old way to write OR, but not in a link."""


@functools.lru_cache(CACHED_VALUES)
def license_form(name: str) -> str:
    """One spelling for one licence: ``Apache License, Version 2.0`` and ``Apache 2.0`` as ``apache-2.0``."""
    form = name.strip().lower()
    if url := CC_URL.search(form):
        return f"cc-{url[1]}-{url[2]}" if url[1] else f"cc0-{url[3]}"
    form = re.sub(r"(?<=[a-z0-9 .])\(.*?\)|https?://\S+", " ", form)  # The MIT License (MIT)
    for pattern, short in WORDS:
        form = re.sub(pattern, short, form)
    form = re.sub(r"[^\w.*]+", "-", form).strip("-.")
    form = re.sub(r"^(gpl|lgpl|agpl|mpl|apache)-?v?(\d)(?![.\d])", r"\1-\2.0", form)
    form = re.sub(r"^(gpl|lgpl|agpl|mpl|apache)-?v?(?=\d)", r"\1-", form)
    form = re.sub(r"^cc-?0", "cc0", form)
    return SPELLINGS.get(form, form)


@functools.lru_cache(CACHED_VALUES)
def license_exclusion(license: str, allowed: tuple[str, ...], denied: tuple[str, ...]) -> str | None:
    """The sentence on why a row under this licence is left out; None if it may stay."""
    if _is_fine(license, allowed, denied):
        return None
    for entry in denied:
        if not _is_fine(license, (), (entry,)):
            return f"licence {license!r} is denied by {entry!r}"
    return f"licence {license!r} is none of those allowed"


def _is_fine(license: str, allowed: tuple[str, ...], denied: tuple[str, ...]) -> bool:
    """Whether an SPDX expression can be kept: one side of OR is enough, AND needs all.

    AND binds more tightly than OR; WITH names an exception, which only permits more.
    Source: https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/
    """
    allow, deny = _patterns(allowed), _patterns(denied)

    def is_fine(name: str) -> bool:
        form = license_form(name)
        is_allowed = not allow or any(pattern.fullmatch(form) for pattern in allow)
        return is_allowed and not any(pattern.fullmatch(form) for pattern in deny)

    if "://" in license:
        return is_fine(license)
    pieces = (piece.strip() for piece in SIGN.split(license))
    tokens = ["OR" if piece == "/" else piece.upper() if SIGN.fullmatch(piece) else piece for piece in pieces if piece]
    return _Expression(tokens, is_fine).any_side() if JOINS & set(tokens) else is_fine(license)


@functools.lru_cache
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(".*".join(map(re.escape, license_form(name).split("*")))) for name in names)


class _Expression:
    """Reads the tokens of an SPDX expression from left to right."""

    def __init__(self, tokens: list[str], is_fine: Callable[[str], bool]) -> None:
        self.tokens, self.is_fine = tokens[::-1], is_fine

    def any_side(self) -> bool:
        result = self.all_sides()
        while self._take("OR"):
            result = self.all_sides() or result
        return result

    def all_sides(self) -> bool:
        result = self.one()
        while self._take("AND"):
            result = self.one() and result
        return result

    def one(self) -> bool:
        if self._take("("):
            result = self.any_side()
            self._take(")")
        else:
            result = self.is_fine(self.tokens.pop() if self.tokens else UNKNOWN)
        if self._take("WITH") and self.tokens:
            self.tokens.pop()
        return result

    def _take(self, token: str) -> bool:
        if self.tokens and self.tokens[-1] == token:
            self.tokens.pop()
            return True
        return False
