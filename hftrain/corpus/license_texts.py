"""Which licence a text is, as an identifier of the SPDX list, told by a few phrases that only it has.

The GNU licences are given as ``-only``: their text does not say whether later versions may be chosen, files do.
Source: https://spdx.org/licenses/
"""

import re

STATED = re.compile(r"SPDX-License-Identifier:[ \t]*([(A-Za-z0-9][A-Za-z0-9.+() \t-]*)")
STATED_WITHIN_CHARS = 4096

CREATIVE_COMMONS_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses/([a-z-]+)/(\d\.\d)|publicdomain/zero/(\d\.\d))"
)
CREATIVE_COMMONS_NAME = re.compile(
    r"(?:creative commons )?(attribution(?:-noncommercial)?(?:-sharealike|-noderivatives|-noderivs)?) (\d\.\d)"
)
CREATIVE_COMMONS_PARTS = {
    "attribution": "BY", "noncommercial": "NC", "sharealike": "SA", "noderivatives": "ND", "noderivs": "ND",
}  # fmt: skip

TITLE_CHARS = 400
TITLES = (
    ("GPL-2.0-only", ("gnu general public license", "version 2, june 1991")),
    ("GPL-3.0-only", ("gnu general public license", "version 3, 29 june 2007")),
    ("LGPL-2.0-only", ("gnu library general public license", "version 2, june 1991")),
    ("LGPL-2.1-only", ("gnu lesser general public license", "version 2.1, february 1999")),
    ("LGPL-3.0-only", ("gnu lesser general public license", "version 3, 29 june 2007")),
    ("AGPL-3.0-only", ("gnu affero general public license", "version 3, 19 november 2007")),
    ("Apache-2.0", ("apache license", "version 2.0, january 2004")),
    ("MPL-1.1", ("mozilla public license version 1.1",)),
    ("MPL-2.0", ("mozilla public license version 2.0",)),
    ("MPL-2.0", ("mozilla public license, version 2.0",)),
    ("EPL-1.0", ("eclipse public license - v 1.0",)),
    ("EPL-2.0", ("eclipse public license - v 2.0",)),
    ("BSL-1.0", ("boost software license - version 1.0",)),
    ("Artistic-2.0", ("the artistic license 2.0",)),
    ("WTFPL", ("do what the fuck you want to public license",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("EUPL-1.2", ("european union public licence v. 1.2",)),
    ("BUSL-1.1", ("business source license 1.1",)),
    ("PSF-2.0", ("python software foundation license version 2",)),
)
"""Told by how they begin: many licences name others further down."""

PERMIT_MIT = (
    "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated"
)
PERMIT_ISC = "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"
PERMIT_ISC_OLD = PERMIT_ISC.replace("and/or", "and")
PERMIT_BSD = "redistribution and use in source and binary forms"
PHRASES = (
    ("Apache-2.0", ("licensed under the apache license, version 2.0",), ()),
    ("MIT", (PERMIT_MIT, "this permission notice shall be included"), ()),
    ("MIT-0", (PERMIT_MIT,), ("notice shall be included",)),
    ("BSD-4-Clause", (PERMIT_BSD, "all advertising materials mentioning features"), ()),
    ("BSD-3-Clause", (PERMIT_BSD, "to endorse or promote products derived from"), ()),
    ("BSD-2-Clause", (PERMIT_BSD, "redistributions in binary form must reproduce"), ()),
    ("ISC", (PERMIT_ISC, "provided that the above copyright notice"), ()),
    ("ISC", (PERMIT_ISC_OLD, "provided that the above copyright notice"), ()),
    ("0BSD", (PERMIT_ISC,), ("provided that",)),
    ("Zlib", ("altered source versions must be plainly marked as such",), ()),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",), ()),
)
"""Identifier, phrases that it has, phrases that it has not; the first that fits."""


def spdx_of(text: str) -> str | None:
    """The SPDX identifier of a licence text, or of a sentence that names one; None if it is none of those known."""
    stated = stated_in(text)
    if stated:
        return stated
    plain = " ".join(text.lower().replace("*", " ").split())
    title = plain[:TITLE_CHARS]
    for identifier, phrases in TITLES:
        if all(phrase in title for phrase in phrases):
            return identifier
    for identifier, phrases, absent in PHRASES:
        if all(phrase in plain for phrase in phrases) and not any(phrase in plain for phrase in absent):
            return identifier
    return _creative_commons(plain, title)


def stated_in(text: str) -> str | None:
    """What a file says in an ``SPDX-License-Identifier:`` line near its beginning."""
    found = STATED.search(text, 0, STATED_WITHIN_CHARS)
    return " ".join(found[1].rstrip(" \t-").split()) if found else None


def together(identifiers: list[str]) -> str:
    """The licence of a thing that several licence files lie beside: a choice between them.

    The LGPL 3 is a supplement to the GPL 3, and both files lie there.
    """
    lesser = {identifier[1:] for identifier in identifiers if identifier.startswith("LGPL")}
    return " OR ".join(sorted(set(identifiers) - lesser))


def _creative_commons(plain: str, title: str) -> str | None:
    if found := CREATIVE_COMMONS_ADDRESS.search(plain):
        kind, version, zero = found.groups()
        return f"CC0-{zero}" if zero else f"CC-{kind.upper()}-{version}"
    if found := CREATIVE_COMMONS_NAME.search(title):
        parts = "-".join(CREATIVE_COMMONS_PARTS[part] for part in found[1].split("-"))
        return f"CC-{parts}-{found[2]}"
    return None
