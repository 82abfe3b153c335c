"""The documentation of the packages installed beside hftrain: a corpus that needs no download.

Source files are parsed with ``ast``; nothing is imported or run.
"""

import ast
import gc
import importlib.metadata
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hftrain.corpus.prose import prose
from hftrain.corpus.records import UNKNOWN_LICENSE

PACKAGES = {
    "accelerate": "accelerate",
    "aiohttp": "aiohttp",
    "bitsandbytes": "bitsandbytes",
    "click": "click",
    "contourpy": "contourpy",
    "datasets": "datasets",
    "dateutil": "python-dateutil",
    "dill": "dill",
    "evaluate": "evaluate",
    "filelock": "filelock",
    "fontTools": "fonttools",
    "fsspec": "fsspec",
    "ftfy": "ftfy",
    "huggingface_hub": "huggingface-hub",
    "jinja2": "Jinja2",
    "matplotlib": "matplotlib",
    "mpmath": "mpmath",
    "networkx": "networkx",
    "numpy": "numpy",
    "packaging": "packaging",
    "pandas": "pandas",
    "peft": "peft",
    "PIL": "pillow",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pygments": "Pygments",
    "pyparsing": "pyparsing",
    "regex": "regex",
    "requests": "requests",
    "rich": "rich",
    "safetensors": "safetensors",
    "sympy": "sympy",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "tqdm": "tqdm",
    "transformers": "transformers",
    "trl": "trl",
    "typer": "typer",
    "urllib3": "urllib3",
    "yaml": "PyYAML",
}
"""Module -> distribution. What hftrain's core dependencies bring on every platform, and nothing
that an optional extra brings: installing one must not change the corpus."""

LEFT_OUT_FOLDERS = frozenset({"tests", "test", "testing", "_vendor", "_vendored", "vendor", "__pycache__"})
"""Tests describe cases, not things; vendored copies belong to other packages."""

SHORTEST_CHARS = 20
"""Shorter texts ("See base class.") are labels; there are thousands of them."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | Definition
Statement = Documented | ast.If | ast.Try | ast.With | ast.ExceptHandler


@dataclass(frozen=True)
class InstalledPackage:
    """One package whose documentation can be read."""

    module: str
    distribution: str
    version: str
    license: str
    root: Path
    """The package's folder, or its one file."""


@dataclass(frozen=True)
class DocumentedText:
    """The prose of one docstring and the qualified name of what it documents."""

    name: str
    text: str


def package_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_package(module: str, distribution: str) -> InstalledPackage | None:
    """Find a package by the name of its top-level module, without importing it; None if absent."""
    spec = importlib.util.find_spec(module)
    version = package_version(distribution)
    if spec is None or version is None:
        return None
    if spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
    elif spec.origin:
        root = Path(spec.origin)
    else:
        return None
    return InstalledPackage(module, distribution, version, package_license(distribution), root)


def package_license(distribution: str) -> str:
    """The licence that a distribution states in a line: expression, field, or classifier."""
    about = importlib.metadata.metadata(distribution)
    for field in ("License-Expression", "License"):
        stated = about[field].strip() if field in about else ""
        if stated and "\n" not in stated:  # else it is the licence itself
            return stated
    classes = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    return classes[0].rsplit(" :: ", 1)[-1] if classes else UNKNOWN_LICENSE


def python_files(package: InstalledPackage) -> list[Path]:
    """The package's Python sources in a fixed order, tests and vendored copies left out."""
    if package.root.is_file():
        return [package.root]
    found = []
    for folder, subfolders, names in os.walk(package.root, followlinks=False):
        subfolders[:] = [name for name in subfolders if name not in LEFT_OUT_FOLDERS]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    # transformers writes modeling_x.py out from modular_x.py: the same docstrings twice.
    found = [path for path in found if not path.name.startswith("modular_")]
    return sorted(found, key=lambda path: path.relative_to(package.root).as_posix())


def documented_texts(package: InstalledPackage, path: Path) -> Iterator[DocumentedText]:
    """Yield the prose of each docstring in one source file, in the order of the file.

    Modules, classes and their functions; not functions within functions, which nobody can call.

    Raises:
        SyntaxError, ValueError, OSError: The file cannot be read as Python source.
    """
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's escape sequences
        tree = ast.parse(source)
    waiting: list[tuple[str, Statement]] = [(_module_name(package, path), tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, Documented):
            docstring = ast.get_docstring(node, clean=False)
            text = prose(docstring) if docstring else ""
            if len(text) >= SHORTEST_CHARS and re.search(r"[A-Za-z]{2}", text):
                yield DocumentedText(name, text)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            below = [
                (f"{name}.{inner.name}" if isinstance(inner, Definition) else name, inner)
                for inner in _inner_statements(node)
            ]
            waiting += reversed(below)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Spare the collector a walk over each syntax tree (a tenth of the time): trees have no cycles."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _inner_statements(node: Statement) -> Iterator[Statement]:
    for field in ("body", "orelse", "handlers", "finalbody"):
        for inner in getattr(node, field, ()):
            if isinstance(inner, Statement):
                yield inner


def _module_name(package: InstalledPackage, path: Path) -> str:
    if package.root.is_file():
        return package.module
    parts = path.relative_to(package.root).with_suffix("").parts
    return ".".join((package.module, *(part for part in parts if part != "__init__")))
