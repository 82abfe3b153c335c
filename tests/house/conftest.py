"""The source trees that the house tests read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def package_trees() -> dict[str, ast.Module]:
    """Module name -> syntax tree, for all of hftrain."""
    trees = {}
    for path in sorted((ROOT / "hftrain").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


@pytest.fixture(scope="session")
def recipe_paths() -> list[Path]:
    """The recipes' files."""
    return sorted(path for path in (ROOT / "recipes").glob("*.py") if path.name != "__init__.py")
