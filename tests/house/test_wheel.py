"""What is built can be installed and used without the checkout, on each Python that it names."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

SITE = Path(sysconfig.get_paths()["purelib"])
OTHER_PYTHONS = ("3.12", "3.13")
PURE = (
    *("_pytest", "filelock", "iniconfig", "packaging", "pluggy", "psutil", "py.py", "pygments", "pytest"),
    *("pytest_timeout.py", "tqdm", "yaml"),
)
"""Packages of this environment that any Python can read: enough for the ground floor and its tests."""

LIGHT = (
    "hftrain",
    "hftrain.cli",
    "hftrain.commands",
    "hftrain.lineage",
    "hftrain.documentation",
    "hftrain.stages.flow",
)
GROUND_TESTS = ("test_given.py", "test_fitting.py", "test_files.py", "test_sources.py")


def run(words: Sequence[str | Path], **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
    return done  # type: ignore[no-any-return]


def build(kind: str, source: Path, out: Path) -> Path:
    run([sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", out], cwd=source)
    return next(path for path in out.iterdir() if path.suffix == {"wheel": ".whl", "sdist": ".gz"}[kind])


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of a new environment that holds the wheel, beside what it needs from this one."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    packages = Path(
        run([programs / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]).stdout.strip()
    )
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel])
    (packages / "neighbours.pth").write_text(f"{SITE}\n")  # files in there that name further folders are not followed
    return programs


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as packed:
        return set(packed.namelist())


def test_the_wheel_holds_hftrain_only_and_all_of_it(root: Path, wheel: Path) -> None:
    names = names_in(wheel)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"hftrain", next(top for top in tops if top.endswith(".dist-info"))}
    ours = [path.relative_to(root).as_posix() for path in (root / "hftrain").rglob("*") if path.is_file()]
    assert {name for name in ours if "__pycache__" not in name} <= names
    laid = [path.relative_to(root).as_posix() for path in (root / "recipes").rglob("*") if path.is_file()]
    assert {f"hftrain/laid/{name}" for name in laid if "__pycache__" not in name} <= names
    assert "hftrain/py.typed" in names
    assert not [name for name in names if name.endswith((".pyc", ".yaml.tmp")) or "__pycache__" in name]


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        said = packed.read(name).decode()
    assert "Requires-Python: >=3.11" in said and "License-Expression: Apache-2.0" in said
    pythons = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", said))
    assert pythons == {"3.11", *OTHER_PYTHONS}
    assert "Typing :: Typed" in said


@pytest.mark.slow
def test_a_wheel_of_the_sdist_is_the_same(root: Path, wheel: Path, tmp_path: Path) -> None:
    packed = build("sdist", root, tmp_path / "sdist")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    parts = {path.name for path in source.iterdir()}
    assert {"hftrain", "recipes", "tests", "docs", "notebooks", "README.md", "LICENSE", "Makefile"} <= parts
    assert names_in(build("wheel", source, tmp_path / "again")) == names_in(wheel)


@pytest.mark.slow
def test_the_wheel_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run([installed / "python", "-c", "import hftrain; print(hftrain.__file__)"], cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "hftrain 0" in run([installed / "hftrain", "--version"], cwd=tmp_path).stdout
    run([installed / "hftrain", "init", "mine"], cwd=tmp_path)
    config = tmp_path / "mine" / "recipes" / "configs" / "tiny.yaml"
    recipe = tmp_path / "mine" / "recipes" / "collect.py"
    shown = run([installed / "python", recipe, "--config", config, "--dry-run"], cwd=tmp_path)
    assert "installed-docs" in shown.stdout

    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("A sentence of some words that is a document of its own. " * 4)
    words = ["--set", "collect.text=[texts/]", "--set", "collect.conversations=[]", "--run-dir", "runs/mine"]
    run([installed / "python", recipe, *words], cwd=tmp_path)
    assert "whole" in run([installed / "hftrain", "verify", "runs/mine"], cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_type_checker_reads_the_types_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("from hftrain.config import derive_seed\n\nderive_seed('1', 'a')\n")
    words = ["-m", "mypy", "--python-executable", str(installed / "python"), "--cache-dir", str(tmp_path / "cache")]
    words += ["--follow-imports", "silent", "theirs.py"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert 'has incompatible type "str"; expected "int"' in done.stdout, done.stdout + done.stderr


def other_python(version: str) -> str | None:
    """An interpreter of this version: on the path, or one of pyenv's."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for found in [*map(str, kept), f"python{version}"]:
        try:
            done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.startswith(f"Python {version}."):
            return found
    return None


@pytest.fixture
def other(request: pytest.FixtureRequest) -> str:
    found = other_python(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} is on this machine")
    return found


@pytest.mark.parametrize("other", OTHER_PYTHONS, indirect=True)
def test_every_file_is_source_of_the_other_pythons(other: str, root: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "for folder in ('hftrain', 'recipes', 'tests', 'docs'):\n"
        "    for path in pathlib.Path(folder).rglob('*.py'):\n"
        "        compile(path.read_text(encoding='utf-8'), str(path), 'exec', dont_inherit=True)\n"
    )
    run([other, "-W", "error", "-c", script], cwd=root)


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHER_PYTHONS, indirect=True)
def test_the_ground_floor_works_on_the_other_pythons(other: str, root: Path, tmp_path: Path) -> None:
    for name in PURE:
        if (SITE / name).exists():
            (tmp_path / name).symlink_to(SITE / name)
    surroundings = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run([other, "-W", "error", "-c", f"import {', '.join(LIGHT)}"], env=surroundings, cwd=tmp_path)
    tests = [f"tests/{name}" for name in GROUND_TESTS]
    done = run(
        [other, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", *tests],
        env=surroundings,
        cwd=root,
    )
    assert " passed" in done.stdout
