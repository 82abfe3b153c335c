"""What is asked for is what is tested; a release of TRL without its PPO is told, with what to do instead."""

from pathlib import Path

import pytest
from harness import ROOT, start
from packaging.specifiers import SpecifierSet
from versions import HASHES, LOCK, Dependency, dependencies, differing, locked, table

APART = {"torchao"}
"""Tested in a folder of their own: what imports transformers imports it too, wherever it is installed."""


@pytest.mark.parametrize(
    "dependency", [each for each in dependencies() if each.name not in APART], ids=lambda each: each.name
)
def test_a_dependency_is_tested_within_the_range_that_is_allowed(dependency: Dependency) -> None:
    assert dependency.tested is not None, f"{dependency.name} is not in {LOCK.name}"
    allowed = SpecifierSet("" if dependency.allowed == "any" else dependency.allowed)
    assert allowed.contains(dependency.tested, prereleases=True)


def test_the_table_names_each_once() -> None:
    lines = table().splitlines()
    assert len(lines) == len(set(lines)) == len(dependencies()) + 2


@pytest.mark.skipif(not HASHES.is_file(), reason="no requirements.hashes is kept")
def test_the_lock_and_its_hashes_name_the_same_releases() -> None:
    assert locked(HASHES) == locked(LOCK)


def test_what_is_installed_in_another_version_than_tested_is_told_with_both() -> None:
    numpy = pytest.importorskip("numpy").__version__
    assert differing({"numpy": numpy}) == [] == differing({"not-installed": "1"})
    assert differing({"numpy": "1.0"}) == [f"numpy {numpy}, tested 1.0"]


@pytest.fixture
def trl_without_ppo(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later TRL: its PPO is gone, and the rest is there."""
    from hftrain import upstream

    plain = upstream._parse
    monkeypatch.setattr(upstream, "_parse", lambda name: None if "ppo" in name else plain(name))
    upstream._fields_of.cache_clear()
    yield
    upstream._fields_of.cache_clear()


@pytest.mark.usefixtures("trl_without_ppo")
def test_the_ppo_recipe_says_what_to_install_and_which_recipe_to_take_instead(tmp_path: Path) -> None:
    ended = start("ppo", ["--config", str(ROOT / "recipes/configs/smoke.yaml"), "--run-dir", str(tmp_path)])
    assert (ended.code, ended.escaped) == (2, "")
    assert "pip install 'trl" in ended.error and "<1.13" in ended.error
    assert "grpo" in ended.error and "dpo" in ended.error


@pytest.mark.usefixtures("trl_without_ppo")
def test_the_other_policies_are_made_without_it(tmp_path: Path) -> None:
    words = ["--set", "policy=dpo", "--dry-run", "--run-dir", str(tmp_path)]
    ended = start("full_flow", words)
    assert (ended.code, ended.escaped) == (0, ""), ended.error
