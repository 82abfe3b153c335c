"""``hftrain explain`` shows every step's value, and says what would become of the document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hftrain.corpus.explaining import explanations
from hftrain.corpus.settings import CurationSettings, LanguageSettings, OverlapSettings
from hftrain.errors import ConfigError, DataError

GOOD = "The old cat sat on the mat of the kitchen, and looked out of the window at the birds that sang in the garden."


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = [GOOD, "Too short.", f"{GOOD} Write to ann@iki.fi about it."]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    return tmp_path / "texts.jsonl"


def test_each_rule_is_shown_with_its_value_and_limits(texts: Path) -> None:
    (found,) = explanations(CurationSettings(), texts, [1], text_column="text")
    assert found.verdict == "kept, unless another document is like it"
    by_step = {each.step: each for each in found.findings}
    assert (by_step["too_few_words"].value, by_step["too_few_words"].needed) == ("24", ">= 10")
    assert by_step["too_few_words"].setting == "basic.minimum_words"
    assert not any(each.broken for each in found.findings)


def test_the_rule_that_drops_is_marked(texts: Path) -> None:
    (found,) = explanations(CurationSettings(), texts, [2], text_column="text")
    assert found.verdict.startswith("dropped as too_few_words: 2 words")
    assert any(line.startswith("x too_few_words") for line in found.lines())


def test_personal_data_language_and_overlap_are_shown(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"question": GOOD}))
    config = CurationSettings(
        languages=LanguageSettings(keep=("fi",)), overlap=OverlapSettings(against=(str(tmp_path / "benchmark.jsonl"),))
    )
    (found,) = explanations(config, texts, [3], text_column="text")
    by_step = {each.step: each for each in found.findings}
    assert by_step["personal data: email"].value == "replace" and "iki.fi" not in by_step["personal data: email"].detail
    assert by_step["language"].broken and by_step["language"].value.startswith("en ")
    assert by_step["overlap: contaminated"].broken and "benchmark.jsonl" in by_step["overlap: contaminated"].detail
    assert found.verdict.startswith("dropped as wrong_language")


def test_a_document_that_is_not_there_is_told(texts: Path) -> None:
    with pytest.raises(DataError, match="document 9 was asked for, and it has 3"):
        list(explanations(CurationSettings(), texts, [9], text_column="text"))
    with pytest.raises(DataError, match="no such file"):
        list(explanations(CurationSettings(), texts.with_name("none.txt"), [1], text_column="text"))


def test_a_rule_set_that_nobody_knows_is_refused(texts: Path) -> None:
    with pytest.raises(ConfigError, match="curate.rules: 'gophers' is not known"):
        list(explanations(CurationSettings(rules=("gophers",)), texts, [1], text_column="text"))


def test_the_command_prints_a_table_and_json(texts: Path) -> None:
    command = [sys.executable, "-c", "from hftrain.cli import console; console()", "explain", str(texts), "--row", "2"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert table.startswith("texts.jsonl, document 2: dropped as too_few_words")
    said = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["verdict"].startswith("dropped as too_few_words")
