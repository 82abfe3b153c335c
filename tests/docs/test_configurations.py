"""Every yaml block of every page is a configuration that the loader takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.config import load_config
from hftrain.errors import ConfigError
from hftrain.stages.flow import FlowConfig


def check(block: Any, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    path = desk / "block.yaml"
    path.write_text(block.text, encoding="utf-8")
    try:
        load_config(FlowConfig, path)
    except ConfigError as problem:
        raise AssertionError(f"{block.where}: {problem}") from None


def test_each_configuration_is_taken(page: Any, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in page.blocks:
        if block.language == "yaml":
            check(block, desk, monkeypatch)


def test_a_wrong_configuration_is_found(
    as_page: Callable[[str], Any], desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = as_page("```yaml\nppo:\n  kl_bugdet: 4\n```\n").blocks
    with pytest.raises(AssertionError, match="kl_budget"):
        check(block, desk, monkeypatch)


def test_blocks_have_a_language_that_is_tested_or_shown(page: Any) -> None:
    assert {block.language for block in page.blocks} <= {"yaml", "python", "console", "text", "{toctree}", "json"}
