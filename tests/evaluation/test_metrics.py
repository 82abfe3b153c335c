"""Each metric's own example, through ``evaluate`` and without a network."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import evaluate
import pytest

import hftrain.evaluation.metrics
from hftrain.evaluation.metrics import metric_path

NAMES = sorted(path.parent.name for path in Path(hftrain.evaluation.metrics.__file__).parent.glob("*/*.py"))


def metric(name: str, cache: Path) -> Any:
    module = importlib.import_module(f"hftrain.evaluation.metrics.{name}.{name}")
    (kind,) = [made for made in vars(module).values() if isinstance(made, type) and issubclass(made, evaluate.Metric)]
    return kind(cache_dir=str(cache))


def test_there_are_nine() -> None:
    assert NAMES == [
        "answer_loss", "bits_per_byte", "calibration_error", "distinct_n", "pass_at_k", "refusal_rate", "repetition",
        "reward_accuracy", "toxicity",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_its_worked_example_holds(name: str, tmp_path: Path) -> None:
    made = metric(name, tmp_path)
    call, expected = re.findall(r">>> metric\.compute\((.*?)\)(?:  #.*)?\n(\{.*\})", made.inputs_description)[0]

    found = made.compute(**{word.arg: ast.literal_eval(word.value) for word in calls(call)})

    assert found == {key: pytest.approx(value) for key, value in ast.literal_eval(expected).items()}


def calls(arguments: str) -> list[ast.keyword]:
    node = ast.parse(f"f({arguments})", mode="eval").body
    assert isinstance(node, ast.Call)
    return node.keywords


@pytest.mark.parametrize("name", NAMES)
def test_it_says_formula_range_and_source(name: str, tmp_path: Path) -> None:
    described = metric(name, tmp_path).description

    assert all(f"\n{word}: " in described for word in ("Formula", "Range", "Source"))


def test_evaluate_loads_one_from_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluate.loading.HF_MODULES_CACHE", str(tmp_path / "modules"), raising=False)
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", str(tmp_path / "modules"))

    loaded = evaluate.load(metric_path("pass_at_k"), cache_dir=str(tmp_path))

    assert loaded.compute(samples=[4], passed=[1], k=2) == {"pass_at_k": 0.5}


def test_a_metric_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="'bleu': one of answer_loss"):
        metric_path("bleu")
