import gzip
import json
from pathlib import Path

import numpy
import pytest

from hftrain.corpus import quality_training
from hftrain.corpus.quality_training import Example, read_examples, train
from hftrain.errors import DataError

LABELLED = Path(__file__).parents[2].parent / "shared" / "data" / "quality" / "dclm_human_quality_half.jsonl.gz"


def noise(count: int) -> list[Example]:
    """Texts of words that hardly any other has, with labels that nothing in them tells."""
    draws = numpy.random.default_rng(7).integers(0, 100_000, size=(count, 30))
    return [Example(" ".join(f"word{draw}" for draw in row), bool(index % 2)) for index, row in enumerate(draws)]


def test_the_same_examples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(noise(60)).save(tmp_path / name)
    for file in ("quality.json", "quality.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_labels_by_chance_are_not_reported_as_learned() -> None:
    report = train(noise(80)).report["held_out"]
    low, high = report["auc"]["interval_95"]
    assert low < 0.5 < high
    gained = report["auc"]["value"] - report["auc_of_length_alone"]["value"]
    assert report["auc_gained"]["value"] == pytest.approx(gained, abs=1e-4)
    low, high = report["auc_gained"]["interval_95"]
    assert low < gained < high


def test_area_under_curve_counts_a_tie_half() -> None:
    keep = numpy.array([[True, False, True, False]])
    scores = numpy.array([[3.0, 2.0, 2.0, 1.0]])
    assert quality_training.area_under_curve(keep, scores).tolist() == [(1 + 1 + 0.5 + 1) / 4]


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(DataError, match="19 examples to keep and 30 to drop"):
        train([Example("a text", index < 19) for index in range(49)])


def test_examples_are_read_with_labels_and_weights(tmp_path: Path) -> None:
    rows = [
        {"body": "One\u2028line.", "good": True, "agreed": True},
        {"body": "Two", "good": 0, "agreed": False},
    ]
    path = tmp_path / "examples.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode() + b"\n\n"))
    found = read_examples(path, text="body", label="good", weight="agreed")
    assert [(example.keep, example.weight) for example in found] == [(True, 1.0), (False, 0.5)]
    assert [example.text for example in found] == ["One\nline.", "Two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"label": 1}', "'text' is None"),
        ('{"text": "a", "label": 2}', "'label' is 2"),
        ('{"text": "a", "label": "yes"}', "'label' is 'yes'"),
        ('{"text": "a", "label": 1, "weight": -1}', "'weight' is -1"),
        ("[1]", "'text' is None"),
        ("{", "A JSON row a line"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text('{"text": "a", "label": 1, "weight": 2}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2") as caught:
        read_examples(path, weight="weight")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08no gzip", gzip.compress(b"{}" * 99)[:-9], gzip.compress(b"caf\xe9"), None]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "examples.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"examples\.jsonl\.gz: .* is needed"):
        read_examples(path)


@pytest.mark.slow
def test_pages_that_people_would_keep_are_told_better_than_by_length() -> None:
    if not LABELLED.exists():
        pytest.skip("the labelled pages are not beside this repository")
    report = train(read_examples(LABELLED, weight="unanimous")).report["held_out"]
    assert report["auc"]["value"] > 0.86  # 0.888; by length alone 0.778
    assert report["auc_gained"]["interval_95"][0] > 0.03
