from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard, ModelCard

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.model_card import card_of
from hftrain.export.model_card_license import license_of

MakeRun = Callable[..., Path]
EVIL = "<script>alert(1)</script> | `x` ](http://evil) \n## Heading"


def test_its_metadata_is_read_by_the_hubs_own_classes(tmp_path: Path, make_run: MakeRun) -> None:
    card = ModelCard(card_of(make_run(tmp_path / "tiny") / "base"))

    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "mit", "transformers", "text-generation",
    )  # fmt: skip
    assert card.data.tags == ["hftrain", "pretrain"]
    first, second = card.data.eval_results or []
    assert (first.dataset_type, first.dataset_name, first.metric_type, first.metric_value) == (
        "baber/piqa", "piqa", "accuracy", 0.55,
    )  # fmt: skip
    assert first.metric_args == {"interval_95": [0.51, 0.59], "items": 600, "chance": 0.5}
    assert second.dataset_type == "mine"


def test_its_words_tell_lineage_data_results_and_limits(tmp_path: Path, make_run: MakeRun) -> None:
    text = card_of(make_run(tmp_path / "tiny") / "base")

    for said in (
        "1,234 parameters", "| `raw` |", "| `base` |", "notes.txt", "55.0% [51.0%, 59.0%]", "30.0%* [20.0%, 40.0%]",
        "**broken**", "Within chance, or of too few items: mine.", "trained on 99 tokens", "were not measured",
    ):  # fmt: skip
        assert said in text, said
    assert "90.0%" not in text  # of another model


def test_a_card_is_the_same_each_time(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "tiny")

    assert card_of(run / "base") == card_of(run / "base")


def test_the_name_of_a_source_is_text(tmp_path: Path, make_run: MakeRun) -> None:
    text = card_of(make_run(tmp_path / "tiny", name=EVIL, licenses=(EVIL,)) / "base")

    body = ModelCard(text).text
    assert "<script>" not in body and "\n## Heading" not in body and r"\](http://evil)" in body
    assert ModelCard(text).data.license == "other"


def test_rows_go_as_a_data_set(tmp_path: Path, make_run: MakeRun) -> None:
    card = DatasetCard(card_of(make_run(tmp_path / "tiny") / "raw"))

    assert (card.data.license, card.data.pretty_name) == ("mit", "tiny-raw")
    assert "load_from_disk" in card.text


def test_an_evaluation_of_another_model_is_not_told(tmp_path: Path, make_run: MakeRun) -> None:
    run, other = make_run(tmp_path / "tiny"), make_run(tmp_path / "other", licenses=("MIT", "BSD"))
    assert "was not evaluated" not in card_of(run / "base")

    for name in ("raw", "base"):
        (run / name).rename(tmp_path / name)
        (other / name).rename(run / name)

    assert "was not evaluated" in card_of(run / "base")


@pytest.mark.parametrize(
    ("stated", "reads_more", "expected"),
    [
        (["MIT", "mit", "The MIT License"], False, ("mit", None)),
        (["Apache 2.0", "MIT"], False, ("other", "licences-of-the-sources")),
        (["MIT", None], False, ("unknown", None)),
        (["MIT"], True, ("unknown", None)),
        ([], False, ("unknown", None)),
        (["MIT-CMU"], False, ("other", "mit-cmu")),
    ],
)
def test_a_licence_says_what_all_sources_say(stated: list[Any], reads_more: bool, expected: tuple[Any, Any]) -> None:
    found = license_of(stated, reads_more=reads_more)

    assert (found.id, found.name) == expected


def test_what_licences_ask_is_told() -> None:
    asked = license_of(["CC BY-SA 4.0", "CC-BY-NC-ND-4.0", "GPL-3.0", "MIT"], reads_more=False).conditions

    assert "same licence" in asked["cc-by-sa-4.0"] and "same licence" in asked["gpl-3.0"]
    assert asked["cc-by-nc-nd-4.0"] == "no commercial use, no derivatives"
    assert "mit" not in asked


def test_a_licence_may_be_stated_by_who_publishes(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "tiny", licenses=(None,))

    assert ModelCard(card_of(run / "base", license_id="Apache 2.0")).data.license == "apache-2.0"
    with pytest.raises(ConfigError, match="Did you mean apache-2.0"):
        card_of(run / "base", license_id="apache-2.1")


def test_a_broken_chain_has_no_card(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "tiny")
    (run / "raw").rename(tmp_path / "gone")

    with pytest.raises(ArtifactError, match="is gone"):
        card_of(run / "base")
    with pytest.raises(ArtifactError, match="no finished artifact"):
        card_of(tmp_path)
