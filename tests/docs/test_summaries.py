"""The numbers that a recipe's page explains are in the summary that it names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TABLE = re.compile(r"^\| in `([\w/.]+)` \| says \|\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)


def explained(text: str) -> Iterator[tuple[str, str]]:
    """File of a run, and a key of it that a table of the page explains."""
    for file, rows in TABLE.findall(text):
        for row in rows.splitlines():
            for key in re.findall(r"`(\w+)`", row.split("|")[1]):
                yield file, key


def missing(text: str, run: Path) -> list[str]:
    return [f"{file}: {key}" for file, key in explained(text) if key not in json.loads((run / file).read_text())]


@pytest.mark.slow
def test_each_number_that_is_explained_is_there(root: Path, workshop: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / "docs" / "recipes").glob("*.md"))]
    assert len([pair for text in texts for pair in explained(text)]) > 60
    assert not [each for text in texts for each in missing(text, workshop / "runs" / "tiny")]


def test_a_number_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"parameters": 3}')
    page = "| in `summary.json` | says |\n|---|---|\n| `parameters`, `paramters` | its size |\n"
    assert missing(page, tmp_path) == ["summary.json: paramters"]
