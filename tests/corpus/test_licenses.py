import pytest

from hftrain.corpus.licenses import license_exclusion, license_form


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (("Apache 2.0", "Apache-2.0", "Apache License, Version 2.0", "Apache License 2.0", "apache2"), "apache-2.0"),
        (("MIT", "MIT License", "The MIT License (MIT)", "mit license", "Expat"), "mit"),
        (("BSD 3-Clause License", "BSD-3-Clause", "3-Clause BSD License", "New BSD License"), "bsd-3-clause"),
        (("GPLv3", "GNU GPL v3", "GPL-3.0-only", "GNU General Public License v3.0"), "gpl-3.0"),
        (("GPL-2.0+", "GPL-2.0-or-later", "GNU General Public License v2.0 or later"), "gpl-2.0-or-later"),
        (
            (
                "CC BY-SA 4.0",
                "Creative Commons Attribution-ShareAlike 4.0 International",
                "https://creativecommons.org/licenses/by-sa/4.0/",
            ),
            "cc-by-sa-4.0",
        ),
        (("CC0", "CC0-1.0", "CC0 1.0 Universal", "Creative Commons Zero v1.0 Universal"), "cc0-1.0"),
        (("Mozilla Public License 2.0", "MPL 2.0", "MPL-2.0"), "mpl-2.0"),
        (("unknown", "", "NOASSERTION", "None"), "unknown"),
    ],
)
def test_the_spellings_of_one_licence_have_one_form(names: tuple[str, ...], form: str) -> None:
    assert [license_form(name) for name in names] == [form] * len(names)


@pytest.mark.parametrize(
    ("license", "allowed", "denied", "is_fine"),
    [
        ("MIT License", ("MIT",), (), True),
        ("ISC", ("MIT",), (), False),
        ("ISC", (), ("MIT",), True),
        ("CC-BY-SA-4.0", ("CC-BY-*",), (), True),
        ("CC-BY-NC-4.0", ("CC-BY-*",), ("*-NC-*",), False),
        ("GPL-3.0-or-later", (), ("GPL*",), False),
        ("LGPL-3.0", (), ("GPL*",), True),
        ("unknown", ("MIT",), (), False),
        ("unknown", ("MIT", "unknown"), (), True),
        ("unknown", (), ("unknown",), False),
        ("MIT OR Apache-2.0", ("MIT",), (), True),
        ("GPL-3.0 OR MIT", (), ("GPL*",), True),
        ("MIT AND GPL-3.0", ("MIT",), (), False),
        ("MIT AND GPL-3.0", (), ("GPL*",), False),
        ("GPL-3.0 AND MIT", ("MIT",), (), False),
        ("(MIT OR GPL-3.0) AND BSD-3-Clause", ("MIT", "BSD*"), (), True),
        ("MIT OR GPL-3.0 AND ISC", ("MIT",), (), True),
        ("MIT AND GPL-3.0 OR ISC", ("MIT",), (), False),
        ("MIT/Apache-2.0", ("Apache 2.0",), (), True),
        ("GNU General Public License v3 or later", ("MIT", "later"), (), False),
        ("GPL-2.0 WITH Classpath-exception-2.0", ("GPL-2.0",), (), True),
        ("Public Domain", ("public-domain",), (), True),
    ],
)
def test_an_or_needs_one_fine_side_and_an_and_needs_both(
    license: str, allowed: tuple[str, ...], denied: tuple[str, ...], is_fine: bool
) -> None:
    assert (license_exclusion(license, allowed, denied) is None) == is_fine


def test_the_sentence_says_which_entry_denied_or_that_none_allowed() -> None:
    assert license_exclusion("GPLv3", (), ("MIT", "GPL*")) == "licence 'GPLv3' is denied by 'GPL*'"
    assert license_exclusion("GPLv3", ("MIT",), ()) == "licence 'GPLv3' is none of those allowed"
