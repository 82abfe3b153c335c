import json
from pathlib import Path

import numpy
import pytest

from hftrain.evaluation.scores import measured
from hftrain.evaluation.settings import Asked, BenchmarkSettings, Gate
from hftrain.evaluation.suite import BENCHMARK, Suite, a_part


def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "blimp.jsonl"
    path.write_text("".join(json.dumps({"good": "a b", "bad": "b a", "uid": str(n % 2)}) + "\n" for n in range(40)))
    settings = Asked(
        benchmarks={"blimp": BenchmarkSettings(file=path)}, gates=(Gate(test="blimp", measure="accuracy", at_least=0),)
    )
    return Suite.read(settings, tmp_path, seed=1)


def test_the_mean_over_benchmarks_is_centred_on_chance(tmp_path: Path) -> None:
    made = suite(tmp_path)
    made.given["base"] = [(BENCHMARK, measured("blimp", "accuracy", [1.0] * 30 + [0.0] * 10, chance=0.5))]
    made.given["chat"] = [(BENCHMARK, measured("blimp", "accuracy", [1.0] * 20 + [0.0] * 20, chance=0.5))]

    assert made.centred_means() == {"base": 0.5, "chat": 0.0}
    assert made.headline([]) == {"centred_mean_base": 0.5, "centred_mean_chat": 0.0}


def test_the_account_has_scores_comparisons_and_groups(tmp_path: Path) -> None:
    made = suite(tmp_path)
    right = numpy.array([float(place % 2) for place in range(40)])
    made.given = {
        "base": [(BENCHMARK, measured("blimp", "accuracy", right, chance=0.5))],
        "chat": [(BENCHMARK, measured("blimp", "accuracy", [1.0] * 40, chance=0.5))],
    }

    account = made.account()

    assert [(row["model"], row["value"], row["says"]) for row in account["scores"]] == [
        ("base", 0.5, False), ("chat", 1.0, False),  # 40 pairs are too few
    ]  # fmt: skip
    (compared,) = account["comparisons"]
    assert (compared["model"], compared["against"], compared["difference"]) == ("chat", "base", 0.5)
    assert compared["p_value"] == pytest.approx(2 / 2**20)
    groups = account["groups"]["base"]["blimp"]["groups"]
    assert groups == {"0": {"value": 0.0, "count": 20}, "1": {"value": 1.0, "count": 20}}


def test_a_part_asks_fewer_rows_and_holds_no_gates(tmp_path: Path) -> None:
    part = a_part(suite(tmp_path).settings, 4)

    assert part.benchmarks["blimp"].rows == 10
    assert (part.safety.rows, part.bias.rows, part.gates) == (25, 250, ())
