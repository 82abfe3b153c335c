import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.evaluation import benchmarks
from hftrain.evaluation.benchmarks import Asked, ask, choice_measures, program_of, read_benchmarks
from hftrain.evaluation.items import Choice, Problem, choice
from hftrain.evaluation.likelihood import Scored
from hftrain.evaluation.settings import BenchmarkSettings


def scored(*nats: float) -> list[Scored]:
    return [Scored(each, False, 1) for each in nats]


def test_sums_may_be_taken_whole_or_by_length() -> None:
    items = [choice("Q:", ["yes", "certainly not"], 1), choice("Q:", ["ja", "né"], 1)]

    found = {made.measure: made for made in choice_measures("t", items, [scored(-3.0, -6.5), scored(-2.0, -2.2)])}

    assert found["accuracy"].values_NK[:, 0].tolist() == [0.0, 0.0]
    assert found["accuracy_norm"].values_NK[:, 0].tolist() == [1.0, 0.0]  # -1 and -0.5 a character; -1 and -1.1
    assert found["accuracy_bytes"].values_NK[:, 0].tolist() == [1.0, 1.0]  # é has two bytes
    assert found["accuracy"].chance == 0.5


def test_the_share_of_probability_of_right_choices_adds_up() -> None:
    (item,) = [Choice(("Q:",) * 3, (" a", " b", " c"), ("a", "b", "c"), (0, 2))]

    found = {made.measure: made for made in choice_measures("t", [item], [scored(-1.0, -1.0, -1.0)])}

    assert found["right_probability"].value == pytest.approx(2 / 3)
    assert found["accuracy"].chance == pytest.approx(2 / 3)


def test_of_equal_sums_the_first_is_taken() -> None:
    found = choice_measures("t", [choice("", ["a", "b"], 1)], [scored(-1.0, -1.0)])

    assert found[0].value == 0.0


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], Path]:
    def write(name: str, given: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in given))
        return path

    return write


def test_every_kind_of_task_is_asked(
    rows: Callable[[str, list[dict[str, Any]]], Path], tiny_model: Callable[..., tuple[Any, Any]]
) -> None:
    files = {
        "blimp": rows("blimp.jsonl", [{"good": "The cat ran.", "bad": "The cat run.", "uid": "a"}]),
        "lambada_openai": rows("lambada.jsonl", [{"context": "The cat sat on the", "continuation": "mat"}]),
        "gsm8k": rows("gsm8k.jsonl", [{"question": "1+1?", "answer": "#### 2"}]),
        "humaneval": rows("code.jsonl", [{"prompt": "def f():\n", "test": "def check(g): pass", "entry_point": "f"}]),
    }
    named = {name: BenchmarkSettings(file=path, new_tokens=4) for name, path in files.items()}

    asked = Asked("m", *tiny_model())
    found = {benchmark.name: ask(benchmark, asked) for benchmark in read_benchmarks(named, limit=None)}

    assert [made.measure for made in found["blimp"]][0] == "accuracy"
    assert {made.measure for made in found["lambada_openai"]} == {"accuracy", "perplexity"}
    assert {made.measure for made in found["gsm8k"]} == {"accuracy", "accuracy_flexible"}
    assert [made.measure for made in found["humaneval"]] == ["pass_at_1"]


def test_a_right_program_passes(
    monkeypatch: pytest.MonkeyPatch, rows: Callable[[str, list[dict[str, Any]]], Path]
) -> None:
    row = {"prompt": "def f(x):\n", "test": "def check(g):\n    assert g(2) == 4", "entry_point": "f"}
    (benchmark,) = read_benchmarks({"humaneval": BenchmarkSettings(file=rows("c.jsonl", [row, row]))}, limit=None)
    monkeypatch.setattr(benchmarks, "complete", lambda *given, **named: ["    return 2 * x", "    return x"])

    (made,) = ask(benchmark, Asked("m", None, None))  # type: ignore[arg-type]

    assert made.values_NK[:, 0].tolist() == [1.0, 0.0]


def test_a_program_is_what_was_given_what_was_written_and_the_tests() -> None:
    assert program_of(Problem("p", "def f():\n", "assert f()"), "    return 1") == (
        "def f():\n    return 1\nassert f()\n"
    )


def test_requests_are_encoded_once_for_models_of_one_tokenizer(
    rows: Callable[[str, list[dict[str, Any]]], Path], tiny_model: Callable[..., tuple[Any, Any]]
) -> None:
    path = rows("blimp.jsonl", [{"good": "The cat ran.", "bad": "The cat run.", "uid": "a"}])
    (benchmark,) = read_benchmarks({"blimp": BenchmarkSettings(file=path)}, limit=None)

    for seed in (1, 2):
        ask(benchmark, Asked("m", *tiny_model(seed), "digest"))

    assert len(benchmark.requests.plans) == 1
