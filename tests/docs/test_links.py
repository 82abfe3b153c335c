"""Every link of every page leads somewhere."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ADDRESS = re.compile(r"https?://[\w.-]+\.[a-z]{2,}(:\d+)?(/|$)")
LOCAL = ("localhost", "127.0.0.1")


@cache
def anchors(path: Path, parse: Callable[[str], Any]) -> frozenset[str]:
    return parse(path.read_text(encoding="utf-8")).anchors


def broken(page: Any, parse: Callable[[str], Any]) -> list[str]:
    """What is wrong with a page's links; addresses are looked at for their form alone."""
    wrong = []
    for line, target in page.links:
        parts = urlsplit(target)
        if parts.scheme in ("http", "https"):
            fits = ADDRESS.match(target) or parts.hostname in LOCAL
            wrong += [] if fits else [f"{page.path.name}:{line}: {target} is no address"]
            continue
        place = (page.path.parent / parts.path).resolve() if parts.path else page.path
        if not place.exists() and place != page.path:
            wrong.append(f"{page.path.name}:{line}: {target} is not there")
        elif parts.fragment and parts.fragment not in (anchors(place, parse) if parts.path else page.anchors):
            wrong.append(f"{page.path.name}:{line}: {target} has no such heading")
    return wrong


def test_each_link_leads_to_a_file_and_a_heading(page: Any, as_page: Callable[[str], Any]) -> None:
    assert not broken(page, as_page)


@pytest.mark.parametrize(
    "link", ["nowhere.md", "../README.md#nowhere", "#nowhere", "pictures/nowhere.png", "https:/example.com"]
)
def test_a_link_that_leads_nowhere_is_found(link: str, as_page: Callable[[str], Any]) -> None:
    assert broken(as_page(f"# Title\n\nSee [this]({link}).\n"), as_page)


def test_every_page_is_reached_from_the_first(root: Path, as_page: Callable[[str], Any]) -> None:
    first = root / "docs" / "index.md"
    seen, waiting = set(), [first]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_relative_to(root / "docs"):
            continue
        seen.add(path)
        targets = [urlsplit(target) for _, target in as_page(path.read_text(encoding="utf-8")).links]
        waiting += [
            (path.parent / each.path).resolve() for each in targets if not each.scheme and each.path.endswith(".md")
        ]
    written = {path for path in (root / "docs").rglob("*.md") if "_build" not in path.parts}
    assert written == seen
