import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from hftrain.evaluation.benchmarks import program_of
from hftrain.evaluation.measures import pass_at_k
from hftrain.evaluation.sandbox import run_programs
from hftrain.evaluation.task_files import read_rows
from hftrain.evaluation.task_rows import humaneval, mbpp

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "eval-code"
MUTATED = """
_right = {name}
def {name}(*given, **named):
    made = _right(*given, **named)
    return (not made) if isinstance(made, bool) or made in (0, 1) else (made, "mutated")
"""


def humaneval_programs(wrong: str = "") -> Iterator[str]:
    for row in read_rows(DATA / "HumanEval.jsonl.gz"):
        yield program_of(humaneval(row), row["canonical_solution"] + wrong.format(name=row["entry_point"]))


def mbpp_programs(wrong: str = "") -> Iterator[str]:
    for row in read_rows(DATA / "mbpp.jsonl.gz"):
        yield program_of(mbpp(row), row["code"].replace("\r", "") + wrong.format(name=asked_function(row)))


def asked_function(row: dict[str, Any]) -> str:
    """The function that the tests call: the last one of the solution that stands in them."""
    names = re.findall(r"^def +(\w+)", row["code"].replace("\r", ""), re.MULTILINE)
    return [name for name in names if re.search(rf"\b{name}\b", row["test_list"][0])][-1]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/eval-code is not here")
@pytest.mark.parametrize("programs", [humaneval_programs, mbpp_programs])
def test_every_reference_solution_passes(programs: Any) -> None:
    outcomes = run_programs(list(programs()))

    failed = {place: made.reason for place, made in enumerate(outcomes) if not made.passed}
    assert not failed
    assert len(outcomes) in (164, 974)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/eval-code is not here")
@pytest.mark.parametrize("programs", [humaneval_programs, mbpp_programs])
def test_no_solution_that_answers_otherwise_passes(programs: Any) -> None:
    outcomes = run_programs(list(programs(MUTATED)))

    assert [place for place, made in enumerate(outcomes) if made.passed] == []


def test_pass_at_k_is_the_mean_over_all_choices_of_k_programs() -> None:
    for passed in range(6):
        right = [place < passed for place in range(5)]
        for k in range(1, 6):
            tried = [any(chosen) for chosen in combinations(right, k)]
            assert pass_at_k(5, min(passed, 5), k) == pytest.approx(sum(tried) / len(tried))
