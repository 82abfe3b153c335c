import json
from pathlib import Path

import pytest

from hftrain.corpus.batches import Batch
from hftrain.corpus.quality import QualityModel
from hftrain.corpus.quality_training import Example, train
from hftrain.errors import ArtifactError

GOOD = (
    "The {} had been standing there for years, and nobody remembered who had built it, because the old men were gone."
)
BAD = "Buy {} now!\nClick here\nLogin | Register\nPrice $9.99"
THINGS = (
    "bridge mill tower house barn wall fence church school well gate hut inn farm dam pier mast shed oven stall quay"
)


@pytest.fixture(scope="module")
def model() -> QualityModel:
    """Learned to keep sentences and to drop shop windows."""
    return train([Example(form.format(thing), form == GOOD) for thing in THINGS.split() for form in (GOOD, BAD)])


def test_what_is_like_the_kept_examples_scores_high(model: QualityModel) -> None:
    good, bad = model.score([GOOD.format("lighthouse"), BAD.format("shoes")])
    assert good > 0.9
    assert bad < 0.1


def test_the_parts_of_a_text_that_weigh_most_are_named(model: QualityModel) -> None:
    parts = model.explain(BAD.format("shoes"), limit=5)
    assert len(parts) == 5
    assert all(part < 0 for _, part in parts)
    assert {"site_words_share", "log_prose_words"} & {name for name, _ in model.explain(BAD.format("shoes"), limit=12)}


def test_the_parts_add_up_to_the_score(model: QualityModel) -> None:
    text = GOOD.format("lighthouse")
    parts = sum(part for _, part in model.explain(text, limit=1000))
    expected = model.slope * (model.margins(Batch([text]))[0] - model.intercept)
    assert parts == pytest.approx(expected)


def test_a_saved_model_scores_the_same(model: QualityModel, tmp_path: Path) -> None:
    texts = [GOOD.format("lighthouse"), BAD.format("shoes"), "", "x"]
    model.save(tmp_path / "quality")
    loaded = QualityModel.load(tmp_path / "quality")
    assert loaded.score(texts).tolist() == model.score(texts).tolist()
    assert loaded.report == json.loads(json.dumps(model.report))
    assert sorted(path.name for path in (tmp_path / "quality").iterdir()) == ["quality.json", "quality.safetensors"]


def test_neighbours_do_not_change_a_score(model: QualityModel) -> None:
    texts = [GOOD.format("lighthouse"), BAD.format("shoes"), "", GOOD.format("lamp") * 50]
    assert model.score(texts).tolist() == [model.score([text])[0] for text in texts]
    assert model.score(Batch(texts)).tolist() == model.score(texts).tolist()
    assert model.score([]).tolist() == []


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no quality\.json"):
        QualityModel.load(tmp_path)


def test_a_model_of_other_measures_is_refused(model: QualityModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    described = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    described["measures"][0] = "log_syllables"
    (tmp_path / "quality.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ArtifactError, match="made for other measures"):
        QualityModel.load(tmp_path)
