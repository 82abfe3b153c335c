import json
from pathlib import Path
from typing import Any

import pytest

from hftrain.report.numbers import percent
from hftrain.report.parts import Options
from hftrain.report.reading import Artifact
from hftrain.report.sections_evaluation import evaluation

EVIL = "<script>alert(1)</script>"


def score(**given: Any) -> dict[str, Any]:
    plain = {"kind": "benchmark", "model": "base", "test": "blimp", "measure": "accuracy", "value": 0.75, "low": 0.7,
             "high": 0.8, "chance": 0.5, "count": 1000, "better": "higher", "says": True}  # fmt: skip
    return plain | given


@pytest.fixture
def page(tmp_path: Path) -> Any:
    def render(**files: Any) -> str:
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return str(evaluation(Artifact("evaluation", tmp_path, "finished"), Options()))

    return render


def test_a_score_stands_with_its_interval_chance_and_count(page: Any) -> None:
    html = page(scores={"scores": [score()], "primary": {"blimp": "accuracy"}, "centred_mean": {"base": 0.5}})

    value, chance = percent(0.75, 1), percent(0.5, 1)
    assert value in html and "[70.0, 80.0]" in html and chance in html and "1,000" in html
    assert "0.500" in html and "0: guessing, 1: all right" in html


def test_a_score_that_says_nothing_is_set_quiet(page: Any) -> None:
    loud = page(scores={"scores": [score()], "primary": {"blimp": "accuracy"}})
    quiet = page(scores={"scores": [score(says=False)], "primary": {"blimp": "accuracy"}})

    assert 'class="quiet"' not in loud and 'class="quiet"' in quiet


def test_broken_gates_stand_first_and_are_named(page: Any) -> None:
    gate = {"model": "policy", "test": "blimp", "measure": "accuracy", "value": 0.4, "passed": False,
            "bounds": ["at least 0.5"]}  # fmt: skip

    html = page(gates={"gates": [gate, gate | {"passed": True}]})

    assert "1 of 2 gates broken: nothing was made after this." in html
    assert "<b>broken</b>" in html and "at least 0.5" in html


def test_models_are_compared_and_the_number_of_tests_is_said(page: Any) -> None:
    row = {"model": "chat", "against": "base", "test": "blimp", "measure": "accuracy", "difference": 0.1, "low": 0.05,
           "high": 0.15, "p_value": 0.0001, "method": "McNemar, exact", "count": 1000}  # fmt: skip

    html = page(scores={"comparisons": [row, row | {"p_value": 0.9}]})

    assert "&lt; 0.001" in html and "Of 2 comparisons, 1 would be surprising" in html


@pytest.mark.parametrize("where", ["test", "measure", "model"])
def test_no_text_becomes_a_tag(page: Any, where: str) -> None:
    row = score(**{where: EVIL})
    gate = {"model": EVIL, "test": EVIL, "measure": EVIL, "value": 1, "passed": False, "bounds": [EVIL]}
    groups = {EVIL: {EVIL: {"measure": EVIL, "groups": {EVIL: {"value": 0.5, "count": 3}}}}}
    compared = {"model": EVIL, "against": EVIL, "test": EVIL, "measure": EVIL, "difference": 0, "low": 0, "high": 0,
                "p_value": 0.5, "method": EVIL, "count": 1}  # fmt: skip

    html = page(
        scores={"scores": [row, row | {"kind": "safety"}, row | {"kind": "bias"}], "groups": groups,
                "comparisons": [compared], "primary": {"blimp": "accuracy"}},
        gates={"gates": [gate]},
    )  # fmt: skip

    assert "<script" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "scores",
    ["", "[]", '{"scores": 3}', '{"scores": [{"kind": "benchmark"}]}', '{"groups": {"a": 1}}',
     '{"groups": {"a": {"b": {"groups": 1}}}}', '{"comparisons": [{"p_value": 0.1}, 4]}'],
)  # fmt: skip
def test_odd_files_stop_nothing(page: Any, scores: str) -> None:
    page(scores=scores, gates='{"gates": [1, {}]}')


def test_how_many_items_would_be_enough_is_said(page: Any) -> None:
    needed = {"0": 35, "0.25": 73, "0.5": 97, "odd": 3, "0.2": "x"}

    html = page(scores={"scores": [score()], "primary": {"blimp": "accuracy"}, "needed_items": needed})

    assert f"73 where a guess gives {percent(0.25)}, 97 where a guess gives {percent(0.5)}." in html
