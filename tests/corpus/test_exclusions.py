import json
import timeit

import pytest

from hftrain.corpus import exclusions
from hftrain.corpus.exclusions import ExclusionSettings, exclusion


def row(license: str = "unknown", **meta: object) -> dict[str, str]:
    return {"text": "x", "license": license, "meta": json.dumps(meta)}


def reason(given: dict[str, str], **settings: tuple[str, ...]) -> str | None:
    found = exclusion(given, ExclusionSettings(**settings))
    return found[0] if found else None


def test_nothing_is_left_out_where_nothing_is_asked_for() -> None:
    assert reason(row("GPL-3.0", url="https://example.com", author="Ann")) is None


def test_a_licence_that_is_denied_or_not_allowed_leaves_a_row_out() -> None:
    assert reason(row("GPL-3.0"), deny_licenses=("GPL*",)) == "excluded_license"
    assert reason(row("MIT License"), allow_licenses=("MIT",)) is None
    assert reason(row(), allow_licenses=("MIT",)) == "excluded_license"
    assert reason({"text": "x", "license": "", "meta": "{}"}, deny_licenses=("unknown",)) == "excluded_license"


@pytest.mark.parametrize(
    ("meta", "denied", "is_out"),
    [
        ({"url": "https://example.com/a?b"}, "example.com", True),
        ({"url": "http://User@WWW.Example.com:8080/"}, "example.com", True),
        ({"url": "https://notexample.com"}, "example.com", False),
        ({"url": "https://example.com.evil.org"}, "example.com", False),
        ({"domain": "sub.example.com"}, "example.com", True),
        ({"domain": "nasa.gov"}, "*.gov", True),
        ({"url": "https://www.nasa.gov./x"}, "*.gov", True),
        ({"url": "https://gov.uk"}, "*.gov", False),
        ({"url": "https://news.bbc.co.uk"}, "bbc.*", True),
        ({"url": "https://xn--bcher-kva.example/"}, "bücher.example", True),
        ({"url": "http://[broken"}, "example.com", False),
        ({"url": 7}, "example.com", False),
        ({"title": "example.com"}, "example.com", False),
    ],
)
def test_a_domain_means_its_subdomains_too(meta: dict[str, object], denied: str, is_out: bool) -> None:
    assert reason(row(**meta), deny_domains=(denied,)) == ("excluded_domain" if is_out else None)


@pytest.mark.parametrize(
    ("author", "denied", "is_out"),
    [
        ("Charlotte Brontë", "charlotte  bronte", True),
        ("BRONTE, Emily", "Brontë, *", True),
        (["Ann Lee", "Jane Austen"], "jane austen", True),
        ([{"name": "Jane Austen"}], "jane austen", True),
        ("Jane Austen-Leigh", "Jane Austen", False),
        ("J.K. Rowling", "J?K. Rowling", False),
        (None, "Jane Austen", False),
    ],
)
def test_authors_match_whatever_their_case_accents_and_spaces(author: object, denied: str, is_out: bool) -> None:
    assert reason(row(author=author), deny_authors=(denied,)) == ("excluded_author" if is_out else None)


def test_titles_match_the_same_way_and_the_sentence_names_the_entry() -> None:
    settings = ExclusionSettings(deny_titles=("emma*",))
    assert exclusion(row(title="Emma:  A Novel"), settings) == (
        "excluded_title",
        "'Emma:  A Novel' is denied by 'emma*'",
    )
    assert exclusion(row(title="Gemma"), settings) is None


def test_meta_that_is_no_object_is_never_an_error() -> None:
    for meta in ("", "[1]", "not json", "null"):
        assert reason({"text": "x", "license": "MIT", "meta": meta}, deny_titles=("Emma",)) is None


def test_meta_is_read_only_where_a_setting_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusions.json, "loads", lambda _: pytest.fail("meta was read"))
    assert reason(row("MIT"), deny_licenses=("GPL*",)) is None


def test_entries_that_name_nothing_or_contradict_each_other_are_all_told() -> None:
    settings = ExclusionSettings(
        allow_licenses=("MIT License",),
        deny_licenses=("MIT",),
        deny_domains=("https://a.org/x", "*"),
        deny_titles=(" ",),
    )
    problems = settings.problems("curate.exclude")
    assert [problem.split(":")[0] for problem in problems] == [
        "curate.exclude.deny_domains",
        "curate.exclude.deny_domains",
        "curate.exclude.deny_titles",
        "curate.exclude.allow_licenses",
    ]
    assert ExclusionSettings(allow_licenses=("MIT", "CC-BY-*"), deny_domains=("*.gov",)).problems("x") == []


def test_a_row_costs_less_than_ten_microseconds_and_hardly_any_where_nothing_is_set() -> None:
    given = row("MIT", url="https://example.org/a", author="Ann Lee", title="Tales")
    full = ExclusionSettings(deny_licenses=("GPL*",), deny_domains=("a.com",), deny_authors=("B",), deny_titles=("C",))
    for settings, allowed_seconds in ((ExclusionSettings(), 1e-6), (full, 10e-6)):
        best = min(timeit.repeat(lambda s=settings: exclusion(given, s), number=2000, repeat=5)) / 2000
        assert best < 3 * allowed_seconds  # three times: the machine may be busy
