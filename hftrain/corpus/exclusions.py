"""Documents left out for what their row says of them: licence, domain, author, title."""

import functools
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from hftrain.corpus.licenses import UNKNOWN, license_exclusion, license_form

LICENSE, DOMAIN, AUTHOR, TITLE = "excluded_license", "excluded_domain", "excluded_author", "excluded_title"
REASONS = (LICENSE, DOMAIN, AUTHOR, TITLE)

AUTHOR_FIELDS = ("author", "authors", "creator")
TITLE_FIELDS = ("title",)
DOMAIN_FIELDS = ("domain", "url", "source_url")

CACHED_VALUES = 65_536


@dataclass(frozen=True, kw_only=True)
class ExclusionSettings:
    """Which documents must not be in. Every list may be empty; ``*`` stands for any characters."""

    allow_licenses: tuple[str, ...] = ()
    """If any are named, only documents under these stay: ``MIT``, ``CC-BY-*``, ``unknown``."""

    deny_licenses: tuple[str, ...] = ()
    """Documents under these are dropped, also where another entry allows them."""

    deny_domains: tuple[str, ...] = ()
    """``example.com`` means its subdomains too; ``*.gov`` all domains that end so."""

    deny_authors: tuple[str, ...] = ()
    """Names as the rows have them; case, accents and white space do not matter."""

    deny_titles: tuple[str, ...] = ()
    """The same for titles."""

    def problems(self, prefix: str) -> list[str]:
        """Entries that could match nothing, or that both allow and deny.

        Args:
            prefix: Where these settings stand, such as ``curate.exclusions``.
        """
        found = []
        for field in fields(self):
            for value in getattr(self, field.name):
                if not value.strip(" *.\t\n"):
                    found.append(
                        f"{prefix}.{field.name}: {value!r} names nothing in particular. A name is needed, "
                        "with * for any characters. Mend it, or leave it out."
                    )
                elif field.name == "deny_domains" and re.search(r"[/:\s]", value):
                    found.append(
                        f"{prefix}.deny_domains: {value!r} is more than a domain. A host name such as "
                        "example.com is needed. Leave out the scheme and the path."
                    )
        denied = {license_form(name) for name in self.deny_licenses}
        found += [
            f"{prefix}.allow_licenses: {name!r} is also in deny_licenses. A licence is allowed or denied. "
            "Take it out of one of them."
            for name in self.allow_licenses
            if license_form(name) in denied
        ]
        return found

    @property
    def is_set(self) -> bool:
        """Whether anything can be excluded at all."""
        return bool(self.allow_licenses or self.deny_licenses or self.needs_meta)

    @property
    def needs_meta(self) -> bool:
        """Whether a row's ``meta`` has to be read."""
        return bool(self.deny_domains or self.deny_authors or self.deny_titles)


def exclusion(row: Mapping[str, Any], settings: ExclusionSettings) -> tuple[str, str] | None:
    """Why a document must not be in: one of REASONS and a sentence on it; None if it may be.

    Args:
        row: A row of the documents; ``license`` is text, ``meta`` an object in JSON text.
        settings: What must not be in.
    """
    if not settings.is_set:
        return None
    if settings.allow_licenses or settings.deny_licenses:
        detail = license_exclusion(row.get("license") or UNKNOWN, settings.allow_licenses, settings.deny_licenses)
        if detail:
            return LICENSE, detail
    return _exclusion_by_meta(_meta_of(row), settings) if settings.needs_meta else None


def _exclusion_by_meta(meta: dict[str, Any], settings: ExclusionSettings) -> tuple[str, str] | None:
    for denied, names, excluded_by, reason in (
        (settings.deny_domains, DOMAIN_FIELDS, _domain_exclusion, DOMAIN),
        (settings.deny_authors, AUTHOR_FIELDS, _name_exclusion, AUTHOR),
        (settings.deny_titles, TITLE_FIELDS, _name_exclusion, TITLE),
    ):
        for value in _values(meta, names) if denied else ():
            if detail := excluded_by(value, denied):
                return reason, detail
    return None


def _meta_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The object in a row's ``meta``; empty where it holds none."""
    try:
        meta = json.loads(row.get("meta") or "{}")
    except json.JSONDecodeError:
        return {}
    return meta if isinstance(meta, dict) else {}


def _values(meta: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """The texts under these names; a list gives each of its own, and objects their ``name``."""
    values: list[str] = []
    for name in names:
        value = meta.get(name)
        if isinstance(value, str):
            values.append(value)
        elif isinstance(value, list):
            named = (one.get("name") if isinstance(one, dict) else one for one in value)
            values += [one for one in named if isinstance(one, str)]
    return values


@functools.lru_cache(CACHED_VALUES)
def _domain_exclusion(url: str, denied: tuple[str, ...]) -> str | None:
    host = _host_of(url)
    for entry, pattern in _domain_patterns(denied):
        if pattern.fullmatch(host):
            return f"domain {host} is denied by {entry!r}"
    return None


@functools.lru_cache
def _domain_patterns(denied: tuple[str, ...]) -> list[tuple[str, re.Pattern[str]]]:
    patterns = []
    for entry in denied:
        name = _host_of(entry).removeprefix(".")
        below = "" if name.startswith("*") else r"(?:.+\.)?"
        patterns.append((entry, re.compile(below + _wildcards(name))))
    return patterns


def _host_of(url: str) -> str:
    """The host name, lower-case and in letters (not in the ``xn--`` form); of a bare domain, itself."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:  # such as an unclosed bracket
        return ""
    host = unicodedata.normalize("NFKC", host).rstrip(".").casefold()
    if "xn--" in host:
        try:
            return host.encode("ascii").decode("idna")
        except UnicodeError:
            return host
    return host


@functools.lru_cache(CACHED_VALUES)
def _name_exclusion(name: str, denied: tuple[str, ...]) -> str | None:
    form = _name_form(name)
    for entry, pattern in _name_patterns(denied):
        if pattern.fullmatch(form):
            return f"{name!r} is denied by {entry!r}"
    return None


@functools.lru_cache
def _name_patterns(denied: tuple[str, ...]) -> list[tuple[str, re.Pattern[str]]]:
    return [(entry, re.compile(_wildcards(_name_form(entry)))) for entry in denied]


def _name_form(name: str) -> str:
    """Without accents, case and doubled white space: ``Brontë,  Charlotte`` as ``bronte, charlotte``."""
    letters = (char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return " ".join("".join(letters).casefold().split())


def _wildcards(entry: str) -> str:
    """A regular expression in which only ``*`` is special."""
    return ".*".join(map(re.escape, entry.split("*")))
