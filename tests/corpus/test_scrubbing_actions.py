"""What is done with what is found, and the kinds that a model of names finds."""

from pathlib import Path

import pytest

from hftrain.corpus import personal_data
from hftrain.corpus.scrubbing import clean, find
from hftrain.errors import ConfigError

TEXT = "Ann Lee, 12 Baker Street, London, wrote to ann@iki.fi from host 9.9.9.9."


@pytest.fixture(scope="module")
def names_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a pipeline that knows one person and one city."""
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Ann Lee"}, {"label": "GPE", "pattern": "London"}])
    folder = tmp_path_factory.mktemp("pipelines") / "names"
    pipeline.to_disk(folder)
    return str(folder)


def test_each_kind_is_replaced_or_left_as_its_action_says() -> None:
    text, counts, dropped = clean(TEXT, {"email": "replace", "ip": "leave"})
    assert text == TEXT.replace("ann@iki.fi", "<EMAIL>")
    assert counts == {"email": 1}
    assert dropped is None


def test_a_kind_that_drops_names_its_first_find_and_leaves_the_text_as_it_was() -> None:
    text, counts, dropped = clean(TEXT, {"email": "replace", "ip": "drop"})
    assert (text, counts) == (TEXT, {})
    assert dropped == ("ip", TEXT.index("9.9.9.9"), TEXT.index("9.9.9.9") + 7, "9.9.9.9")


def test_a_secret_is_shown_masked() -> None:
    assert personal_data.Found("key", 0, 12, "hunter2hunt9").masked == "hunt… (12 characters)"


def test_nothing_is_looked_for_where_all_is_left() -> None:
    assert clean(TEXT, {}) == (TEXT, {}, None)
    assert clean(TEXT, dict.fromkeys(personal_data.KINDS, "leave")) == (TEXT, {}, None)


def test_without_a_word_patterns_replace_and_names_and_addresses_are_left() -> None:
    actions = personal_data.actions({"email": "drop", "person": "replace"})
    assert actions["email"] == "drop"
    assert actions["person"] == actions["card"] == "replace"
    assert actions["address"] == actions["street_address"] == "leave"
    assert tuple(actions) == personal_data.KINDS


def test_a_model_of_names_finds_persons_and_widens_a_street_to_its_city(names_model: str) -> None:
    text, counts, _ = clean(TEXT, {"person": "replace", "address": "replace", "email": "replace"}, names_model)
    assert text == "<PERSON>, <ADDRESS>, wrote to <EMAIL> from host 9.9.9.9."
    assert counts == {"person": 1, "address": 1, "email": 1}


def test_a_city_alone_is_no_address(names_model: str) -> None:
    assert find("Ann Lee lives in London.", ["address"], names_model) == []


def test_a_long_text_is_read_in_pieces_that_cut_no_name(names_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hftrain.corpus import entities

    monkeypatch.setattr(entities.load_pipeline(names_model), "max_length", 40)
    text = "Ann Lee wrote it. " * 20
    assert [one.value for one in find(text, ["person"], names_model)] == ["Ann Lee"] * 20


def test_a_model_that_is_not_named_not_there_or_names_nothing_is_refused(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ConfigError, match="not set, but person or address"):
        clean(TEXT, {"person": "replace"})
    with pytest.raises(ConfigError, match="neither an installed spaCy pipeline nor a folder with one"):
        clean(TEXT, {"person": "replace"}, "no_such_pipeline")
    with pytest.raises(ConfigError, match="has only no components"):
        clean(TEXT, {"person": "replace"}, str(tmp_path / "blank"))


def test_a_missing_spacy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    with pytest.raises(ConfigError, match="pip install spacy"):
        clean(TEXT, {"person": "replace"}, "en_core_web_sm")
