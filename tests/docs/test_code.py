"""The python blocks of a page run, in their order, beside a finished run."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def failure(page: Any, folder: Path, surroundings: dict[str, str]) -> str | None:
    """What python says at the end of a page's blocks if they do not run through."""
    code = "\n".join(block.text for block in page.blocks if block.language == "python")
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=600)
    return done.stderr[-2000:] if done.returncode else None


@pytest.mark.slow
def test_the_code_of_a_page_runs(page_with_code: Any, workshop: Path, surroundings: dict[str, str]) -> None:
    said = failure(page_with_code, workshop, surroundings)
    assert said is None, said


@pytest.mark.slow
def test_code_that_does_not_run_is_found(
    as_page: Callable[[str], Any], tmp_path: Path, surroundings: dict[str, str]
) -> None:
    page = as_page("```python\nseen = 1\n```\n\n```python\nassert seen == 2\n```\n")
    assert "AssertionError" in str(failure(page, tmp_path, surroundings))


def test_the_code_of_a_page_is_python(page_with_code: Any) -> None:
    for block in page_with_code.blocks:
        if block.language == "python":
            compile(block.text, block.where, "exec")
