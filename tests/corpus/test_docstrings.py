import sys
from pathlib import Path

import pytest

from hftrain.corpus import docstrings

SOURCE = '''"""What the module does, in one sentence."""
import a_module_that_does_not_exist

raise RuntimeError("nobody may run this")

class Cat:
    """An animal that sleeps for most of the day."""

    def purr(self, seconds):
        """Make a low sound for so many seconds.

        >>> Cat().purr(1)
        """
        def inner():
            """Nobody outside can call this function."""

    async def nap(self):
        "A docstring without three quotes counts as well."

    def _short(self):
        """Tiny."""

if True:
    def outer():
        """Stand inside of a condition, and be found."""
'''


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package ``animals_for_test`` with the module above."""
    package = tmp_path / "animals_for_test"
    for name in ("__init__.py", "small/cat.py", "tests/test_cat.py", "_vendor/dog.py", "modular_cat.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(SOURCE if name == "small/cat.py" else '"""Some other module of this package."""')
    about = tmp_path / "animals_for_test-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: animals-for-test\nVersion: 1.5\n"
        "License: Some\n         long text\nClassifier: License :: OSI Approved :: MIT License\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return package


def test_an_installed_package_is_found_with_version_and_licence(animals: Path) -> None:
    package = docstrings.find_package("animals_for_test", "animals-for-test")
    assert package is not None
    assert (package.version, package.license, package.root) == ("1.5", "MIT License", animals)
    assert "animals_for_test" not in sys.modules


def test_tests_copies_and_generators_of_other_files_are_left_out(animals: Path) -> None:
    package = docstrings.find_package("animals_for_test", "animals-for-test")
    assert package is not None
    names = [path.relative_to(animals).as_posix() for path in docstrings.python_files(package)]
    assert names == ["__init__.py", "small/cat.py"]


def test_docstrings_are_read_in_order_and_nothing_is_run(animals: Path) -> None:
    package = docstrings.find_package("animals_for_test", "animals-for-test")
    assert package is not None

    found = list(docstrings.documented_texts(package, animals / "small" / "cat.py"))

    assert [(each.name.removeprefix("animals_for_test."), each.text) for each in found] == [
        ("small.cat", "What the module does, in one sentence."),
        ("small.cat.Cat", "An animal that sleeps for most of the day."),
        ("small.cat.Cat.purr", "Make a low sound for so many seconds."),
        ("small.cat.Cat.nap", "A docstring without three quotes counts as well."),
        ("small.cat.outer", "Stand inside of a condition, and be found."),
    ]


def test_a_package_that_is_absent_is_none() -> None:
    assert docstrings.find_package("no_such_module_anywhere", "no-such-module-anywhere") is None


def test_only_what_the_core_set_brings_is_read() -> None:
    optional_or_tool = {"gguf", "xllamacpp", "pytest", "ruff", "mypy", "ipykernel", "nbclient", "hypothesis", "pip"}
    assert not set(docstrings.PACKAGES) & optional_or_tool
    assert list(docstrings.PACKAGES) == sorted(docstrings.PACKAGES, key=str.lower)
