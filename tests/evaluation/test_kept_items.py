import json
from pathlib import Path

import numpy
import pytest

from hftrain.evaluation import measures
from hftrain.evaluation.kept_items import FORMS, ITEMS_FILE, read_measured, row_of
from hftrain.evaluation.scores import Measured, are_paired, compare, measured
from hftrain.files import write_jsonl

VALUES = numpy.array([[0.25, 1.0], [2.0 / 3, 4.0], [0.125, 1.0]])


@pytest.mark.parametrize("form", [name for name in FORMS if name in ("mean", "ratio", "perplexity", "largest_gap")])
def test_what_is_kept_gives_the_score_again(tmp_path: Path, form: str) -> None:
    made = Measured("t", "m", VALUES, "lower", chance=0.5, of=FORMS[form], items="d")
    write_jsonl(tmp_path / ITEMS_FILE, [row_of("base", made)])

    (key, read), *_ = read_measured(tmp_path).items()

    assert key == ("base", "t", "m")
    assert (read.better, read.chance, read.items) == ("lower", 0.5, "d")
    assert read.value == pytest.approx(made.value, rel=1e-5)


def test_every_measure_of_an_evaluation_has_a_form() -> None:
    named = {measures.bias_in_ambiguous, measures.bias_in_disambiguated, measures.calibration_error_of_means}

    assert named <= set(FORMS.values())


def test_right_and_wrong_are_kept_as_whole_numbers() -> None:
    row = row_of("base", measured("t", "accuracy", [1.0, 0.0], items="d"))

    assert json.dumps(row["values"]) == "[1, 0]" and row["form"] == "mean"


def test_models_are_compared_on_the_same_items_alone() -> None:
    first = measured("t", "m", [1.0, 0.0, 1.0], items="a")
    other, longer = measured("t", "m", [0.0, 0.0, 1.0], items="b"), measured("t", "m", [1.0] * 4, items="a")

    assert are_paired(first, measured("t", "m", [0.0, 1.0, 1.0], items="a"))
    for unlike in (other, longer):
        assert not are_paired(first, unlike)
        with pytest.raises(ValueError, match="other items"):
            compare("x", first, "y", unlike, seed=0)


def test_an_evaluation_that_kept_less_gives_less(tmp_path: Path) -> None:
    assert read_measured(tmp_path) == {}

    write_jsonl(tmp_path / ITEMS_FILE, [{"model": "base", "test": "t", "measure": "m", "values": [1, 0]}])
    assert read_measured(tmp_path) == {}
