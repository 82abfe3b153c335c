from pathlib import Path

import pytest

from hftrain.corpus import docstrings, installed_docs, workers
from hftrain.corpus.accounts import Source


@pytest.fixture
def packages(tmp_path: Path) -> list[docstrings.InstalledPackage]:
    """Two packages of 40 files each; one file of each is no Python."""
    made = []
    for name in ("foxes", "grapes"):
        root = tmp_path / name
        root.mkdir()
        for number in range(40):
            (root / f"m{number:02}.py").write_text(f'"""The module number {number} of the {name}."""\n')
        (root / "m07.py").write_text('"""A module that stops"""\ndef\n')
        made.append(docstrings.InstalledPackage(name, name, "1.0", "MIT", root))
    return made


def read(packages: list[docstrings.InstalledPackage]) -> tuple[list[tuple[object, ...]], list[Source]]:
    opened = [(Source(package.module, "documents"), package) for package in packages]
    missing: tuple[Source, None] = (Source("missing", "documents"), None)
    found, sources = [], []
    for source, records in installed_docs.records_of([opened[0], missing, opened[1]], "text"):
        sources.append(source)
        found += [(source.name, number, record["module"], record["text"]) for number, record in records]
    return found, sources


def test_packages_are_read_in_order_and_what_is_no_python_is_counted(
    packages: list[docstrings.InstalledPackage],
) -> None:
    found, sources = read(packages)
    assert len(found) == 78
    assert found[0] == ("foxes", 1, "foxes.m00", "The module number 0 of the foxes.")
    assert found[39] == ("grapes", 1, "grapes.m00", "The module number 0 of the grapes.")
    assert [(source.name, source.broken) for source in sources] == [("foxes", 1), ("missing", 0), ("grapes", 1)]
    assert str(sources[0].unreadable).startswith("m07.py: ")


def test_several_processes_give_the_same_in_the_same_order(
    packages: list[docstrings.InstalledPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = read(packages)
    monkeypatch.setattr(installed_docs, "FEWEST_FILES", 1)
    monkeypatch.setattr(workers, "cpu_count", lambda: 2)
    assert read(packages) == alone
