"""The section curate as people write it; what is wrong with it is told before any work."""

from pathlib import Path

import pytest

from hftrain.config import describe, load_config, load_section
from hftrain.corpus.settings import ShareSettings
from hftrain.corpus.settings_checks import outside_of, problems_of
from hftrain.errors import ConfigError
from hftrain.stages.curate import CurateConfig
from hftrain.stages.flow import FlowConfig

YAML = """
curate:
  rules: [gopher_quality, basic]
  thresholds:
    gopher_quality: {minimum_words: 30}
  mixture:
    sources:
      "books/*": {weight: 2, maximum_epochs: 2}
      web: {}
    total_tokens: 1e6
  personal_data: {email: drop}
"""


def test_nested_parts_are_read_and_written_back(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(YAML)
    config = load_section(CurateConfig, "curate", tmp_path / "run.yaml", ["curate.thresholds.basic.minimum_words=5"])
    assert config.flat_thresholds() == {"gopher_quality.minimum_words": 30, "basic.minimum_words": 5}
    assert config.mixture.sources["books/*"] == ShareSettings(weight=2, maximum_epochs=2)
    assert config.mixture.total_tokens == 1_000_000 and problems_of(config) == []

    whole = load_config(FlowConfig, tmp_path / "run.yaml")
    (tmp_path / "again.yaml").write_text(describe(whole))
    assert load_config(FlowConfig, tmp_path / "again.yaml") == whole


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("curate.duplicates.near_jaccard=0.1", "At least 0.3 is needed"),
        ("curate.toxicity.maximum_score=9", "curate.toxicity.maximum_score: 9"),
        ("curate.personal_data.person=replace", "Set curate.names_model"),
        ("curate.thresholds.basic.minimum_word=5", "'basic.minimum_word' is not known"),
        ("curate.exclude.allow_licenses=['']", "curate.exclude"),
        ("curate.quality.examples=nowhere.jsonl", "nowhere.jsonl does not exist"),
    ],
)
def test_what_cannot_be_is_told(given: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_section(CurateConfig, "curate", None, [given])
    assert said in str(refusal.value)


def test_a_slip_in_a_nested_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"curate.duplicates.near_jacard.*near_jaccard"):
        load_section(CurateConfig, "curate", None, ["curate.duplicates.near_jacard=0.8"])


def test_files_that_the_settings_name_are_part_of_the_request(tmp_path: Path) -> None:
    file = tmp_path / "benchmark.jsonl"
    file.write_text('{"question": "one"}')
    config = load_section(CurateConfig, "curate", None, [f"curate.overlap.against=[{file}]"])
    before = outside_of(config)
    file.write_text('{"question": "two"}')
    assert list(before) == list(outside_of(config)) and before != outside_of(config)


def test_two_files_of_one_name_are_both_part_of_the_request(tmp_path: Path) -> None:
    files = [tmp_path / side / "set" / "rows.jsonl" for side in ("left", "right")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text('{"question": "one"}')
    config = load_section(CurateConfig, "curate", None, [f"curate.overlap.against={[str(file) for file in files]}"])
    before = outside_of(config)
    files[0].write_text('{"question": "two"}')
    assert len(before) == 2 and before != outside_of(config)
