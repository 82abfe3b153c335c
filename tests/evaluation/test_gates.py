from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import write_json
from hftrain.errors import ArtifactError, ConfigError
from hftrain.evaluation.gates import GateError, check, gated, judge
from hftrain.evaluation.settings import Gate


def score(model: str, value: float, *, test: str = "heldout", better: str = "lower") -> dict[str, Any]:
    return {"model": model, "test": test, "measure": "x", "value": value, "better": better}


SCORES = [score("base", 1.5), score("policy", 1.75), score("policy", 0.6, test="quiz", better="higher"),
          score("base", 0.7, test="quiz", better="higher"), score("policy", 0.5, test="bias", better="neither"),
          score("base", 0.5, test="bias", better="neither")]  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "passed"),
    [
        ({"at_most": 1.75}, True),
        ({"at_most": 1.74}, False),
        ({"at_least": 1.75}, True),
        ({"no_worse_than": "base", "margin": 0.25}, True),
        ({"no_worse_than": "base", "margin": 0.2}, False),
        ({"at_most": 2.0, "no_worse_than": "base"}, False),
    ],
)
def test_a_bound_holds_up_to_its_value(bound: dict[str, Any], passed: bool) -> None:
    (judged,) = judge([Gate(test="heldout", measure="x", **bound)], SCORES)

    assert judged.passed == passed


def test_worse_is_less_where_higher_is_better() -> None:
    (judged,) = judge([Gate(test="quiz", measure="x", no_worse_than="base", margin=0.1)], SCORES)
    (strict,) = judge([Gate(test="quiz", measure="x", no_worse_than="base", margin=0.09)], SCORES)

    assert judged.passed and not strict.passed
    assert strict.bounds == ["no worse than base (0.7) by more than 0.09"]


def test_all_models_are_held_but_the_one_compared_with() -> None:
    judged = judge([Gate(test="heldout", measure="x", model="all", no_worse_than="base")], SCORES)

    assert [gate.model for gate in judged] == ["policy"]


def test_a_gate_on_what_was_not_measured_is_refused_with_what_was_meant() -> None:
    with pytest.raises(
        ConfigError, match=r"evaluate_model.gates\[0\]: quizz x was not measured of policy. Did you mean"
    ):
        judge([Gate(test="quizz", measure="x", at_least=0)], SCORES)


def test_nothing_is_worse_where_neither_way_is_better() -> None:
    with pytest.raises(ConfigError, match="neither more nor less is better"):
        judge([Gate(test="bias", measure="x", no_worse_than="base")], SCORES)


def test_a_broken_gate_ends_the_flow_each_time_and_leaves_the_evaluation(tmp_path: Path) -> None:
    judged = judge([Gate(test="quiz", measure="x", at_least=0.9), Gate(test="heldout", measure="x", at_most=2)], SCORES)
    write_json(tmp_path / "gates.json", {"gates": [gate.row() for gate in judged]})
    stage = gated()(lambda: tmp_path)

    for _ in range(2):
        with pytest.raises(GateError, match=r"1 gate is broken.\n  policy: quiz x is 0.6; at least 0.9 is needed"):
            stage()
    assert issubclass(GateError, ArtifactError)


def test_no_gates_break_nothing(tmp_path: Path) -> None:
    check(tmp_path)
    assert gated()(lambda: tmp_path)() == tmp_path


def test_an_input_that_may_lack_counts_as_not_there(tmp_path: Path) -> None:
    seen: dict[str, Path] = {}

    def stage(**inputs: Path) -> Path:
        seen.update(inputs)
        return tmp_path

    gated(may_lack=("student", "export"))(stage)(student=tmp_path, export=None)

    assert seen["student"] == tmp_path and not (seen["export"] / "manifest.json").exists()
