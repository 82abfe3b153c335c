"""The licence that a card states, derived from the licences of the sources that an artifact was made from.

It is a statement on the sources, not on the law: whether a model is bound by the licences of its text is not settled.
So nothing is claimed that the sources do not say: one licence throughout is stated as it is, several are listed, and
one source without a licence leaves the whole unknown.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hftrain.corpus.licenses import UNKNOWN, license_form
from hftrain.errors import ConfigError
from hftrain.upstream import suggest

OTHER = "other"
HUB_LICENSES = frozenset((
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1",
    "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc",
    "intel-research", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl", "openrail++", "osl-3.0", "postgresql",
    "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "gemma", "llama2", "llama3", "llama3.1", "llama3.2",
    "llama3.3", UNKNOWN,
    OTHER,
))  # fmt: skip
"""Source: https://huggingface.co/docs/hub/repositories-licenses"""

CONDITIONS = (
    (r"\bnc\b", "no commercial use"),
    (r"\bnd\b", "no derivatives"),
    (r"\bsa\b|^[al]?gpl|^osl|^odbl|^gfdl|sharing", "what is made from it stays under the same licence"),
)
"""What a licence asks beside naming its source, by its name."""


@dataclass(frozen=True)
class CardLicense:
    """What a card says of licences."""

    id: str
    """As the Hub names it."""
    name: str | None
    """What ``other`` stands for."""
    counts: dict[str, int]
    """Licence, in one spelling, and how many sources state it."""
    conditions: dict[str, str]
    """Licence, and what it asks."""
    is_given: bool = False
    """Whether a person chose it."""


def license_of(stated: Iterable[str | None], *, reads_more: bool) -> CardLicense:
    """The licence of what was made from sources that state these.

    Args:
        stated: Of each source, in its own spelling.
        reads_more: Whether something was read of which no licence is known, such as another model.
    """
    counts = Counter(_spelled(each) for each in stated)
    if reads_more or not counts:
        counts[UNKNOWN] += int(reads_more)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    conditions = {
        name: ", ".join(said for pattern, said in CONDITIONS if re.search(pattern, name.replace("-", " ")) or
                        re.search(pattern, name))
        for name in names
    }  # fmt: skip
    told = {name: said for name, said in conditions.items() if said}
    ordered = {name: counts[name] for name in names}
    if not names or UNKNOWN in counts:
        return CardLicense(UNKNOWN, None, ordered, told)
    if len(names) == 1 and names[0] in HUB_LICENSES:
        return CardLicense(names[0], None, ordered, told)
    return CardLicense(OTHER, names[0] if len(names) == 1 else "licences-of-the-sources", ordered, told)


def given_license(given: str, derived: CardLicense) -> CardLicense:
    """The licence that a person chose, beside what the sources state.

    Raises:
        ConfigError: The Hub does not know it.
    """
    form = license_form(given) if given.lower() not in HUB_LICENSES else given.lower()
    if form not in HUB_LICENSES:
        near = suggest(given.lower(), sorted(HUB_LICENSES))
        meant = f" Did you mean {near}?" if near else ""
        raise ConfigError(
            f"--license: {given!r} is none that the Hub knows.{meant} Needed: an id of "
            "https://huggingface.co/docs/hub/repositories-licenses. Use other for one that is not there."
        )
    return CardLicense(form, None, derived.counts, derived.conditions, is_given=True)


def _spelled(stated: str | None) -> str:
    """One spelling; an expression of several keeps its words, each in one spelling."""
    if not stated:
        return UNKNOWN
    pieces = re.split(r"(\s+(?:AND|OR|WITH)\s+)", stated)
    return "".join(piece if place % 2 else license_form(piece) for place, piece in enumerate(pieces)) or UNKNOWN
