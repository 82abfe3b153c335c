"""The README is read in two minutes, and its numbers can be made again."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_LINES = 160
LARGEST_PICTURE_BYTES = 100_000


def test_the_first_command_comes_early_and_the_end_soon(root: Path) -> None:
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    assert next(place for place, line in enumerate(lines) if line.startswith("$ ")) < 12
    assert len(lines) <= LONGEST_LINES


def test_pictures_are_small_and_shown(root: Path, as_page: Callable[[str], Any]) -> None:
    pictures = list((root / "docs" / "pictures").iterdir())
    assert all(path.stat().st_size <= LARGEST_PICTURE_BYTES for path in pictures)
    shown = {
        link
        for path in [root / "README.md", *(root / "docs").rglob("*.md")]
        for _, link in as_page(path.read_text()).links
    }
    assert {path.name for path in pictures} == {Path(link).name for link in shown if link.endswith(".png")}


def test_each_measurement_names_a_script_that_there_is(root: Path) -> None:
    text = (root / "docs" / "results.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\| `(\w+\.py)` \|", text)) | set(re.findall(r"tests/bench/(\w+\.py)", text))
    assert len(named) >= 10
    assert not {name for name in named if not (root / "tests" / "bench" / name).is_file()}
