"""The embedded corpus comes from what every installation of hftrain has, whatever extras are installed."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from hftrain.corpus.docstrings import PACKAGES

ROOT = Path(__file__).parents[2]


def normal(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_by(requirements: list[str]) -> set[str]:
    """Everything that these requirements install, directly or not."""
    waiting, seen = [Requirement(text) for text in requirements], set[tuple[str, str]]()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (normal(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            for text in importlib.metadata.requires(wanted.name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return {name for name, _ in seen}


def test_every_package_that_is_read_comes_with_the_core_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = brought_by(project["dependencies"])
    assert not {normal(distribution) for distribution in PACKAGES.values()} - core
