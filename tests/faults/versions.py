# ruff: noqa: T201  (it prints what it finds)
"""The tested range of each dependency: what is allowed, and what this release was tested with. A table on demand.

python tests/faults/versions.py [--installed]

``--installed`` tells instead what is installed in another version than the lock's.
"""

import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK, HASHES = ROOT / "requirements.lock", ROOT / "requirements.hashes"
OWN = "hftrain"


@dataclass(frozen=True)
class Dependency:
    """One package that hftrain asks for itself."""

    name: str
    allowed: str
    """The versions that ``pyproject.toml`` takes."""
    tested: str | None
    """The version in the lock."""
    asked_by: str
    """``hftrain``, or the extra."""


def locked(path: Path = LOCK) -> dict[str, str]:
    """Name -> version of a lock, with or without hashes."""
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"))
    return {canonicalize_name(name): version for name, version in found}


def dependencies() -> list[Dependency]:
    """What ``pyproject.toml`` names, extras included, once each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [(OWN, text) for text in project["dependencies"]]
    asked += [(extra, text) for extra, texts in project["optional-dependencies"].items() for text in texts]
    versions, found = locked(), {}
    for by, text in asked:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name != OWN and name not in found:
            found[name] = Dependency(requirement.name, str(requirement.specifier) or "any", versions.get(name), by)
    return list(found.values())


def table() -> str:
    """The same as a table in Markdown."""
    rows = [f"| {each.name} | {each.allowed} | {each.tested or 'not'} | {each.asked_by} |" for each in dependencies()]
    return "\n".join(["| package | allowed | tested | asked for by |", "|---|---|---|---|", *rows])


def differing(lock: dict[str, str]) -> list[str]:
    """What is installed in another version than in a lock, with both: what a run with newer releases tests."""
    installed = {canonicalize_name(each.name): each.version.partition("+")[0] for each in distributions()}
    return [
        f"{name} {installed[name]}, tested {lock[name]}"
        for name in sorted(lock)
        if installed.get(name, lock[name]) != lock[name]
    ]


if __name__ == "__main__":
    if "--installed" in sys.argv[1:]:
        print("\n".join(differing(locked())) or "all that is installed is as in the lock")
    else:
        print(table())
