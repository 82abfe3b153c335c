"""The messages that the page of errors explains are messages of the code."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LEAST_LITERAL = 20
"""A message of the code with fewer letters of its own fits anything."""


@pytest.fixture(scope="module")
def patterns(make_pages: ModuleType) -> list[re.Pattern[str]]:
    found = []
    for message in make_pages.messages():
        text = " ".join(message.text.split())
        parts = re.split(r"‹[^›]*›", text)
        if sum(map(len, parts)) >= LEAST_LITERAL:
            found.append(re.compile(".*?".join(map(re.escape, parts))))
    return found


def unknown(message: str, patterns: list[re.Pattern[str]]) -> bool:
    text = " ".join(message.split())
    return not any(pattern.search(text) for pattern in patterns)


def test_each_message_that_is_explained_is_one_of_the_code(
    root: Path, as_page: Callable[[str], Any], patterns: list[re.Pattern[str]]
) -> None:
    page = as_page((root / "docs" / "errors.md").read_text(encoding="utf-8"))
    told = [(block.line, block.text) for block in page.blocks if block.language == "text"]
    assert len(told) >= 20
    assert not [place for place in told if unknown(place[1], patterns)]


def test_a_message_that_the_code_does_not_tell_is_found(patterns: list[re.Pattern[str]]) -> None:
    assert unknown("runs/tiny/base: is quite unfinished. Do something about it.", patterns)
    assert not unknown("runs/tiny/base: is unfinished. Run the command that makes it again: it goes on.", patterns)
