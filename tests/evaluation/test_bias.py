import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from hftrain.errors import DataError
from hftrain.evaluation.benchmarks import Asked
from hftrain.evaluation.bias import (
    BiasTests,
    bias_in_ambiguous,
    bias_in_disambiguated,
    biased,
    largest_gap,
    winobias_pairs,
)
from hftrain.evaluation.settings import BiasSettings
from hftrain.evaluation.task_rows import bbq

ROW = {
    "context": "A boy and his grandfather came.", "question": "Who forgot?", "question_polarity": "neg",
    "context_condition": "ambig", "category": "Age", "ans0": "The boy", "ans1": "The grandfather", "ans2": "Not known",
    "label": 2, "answer_info": {"ans0": ["boy", "nonOld"], "ans1": ["grandfather", "old"], "ans2": ["x", "unknown"]},
    "additional_metadata": {"stereotyped_groups": ["old"]},
}  # fmt: skip


def test_of_a_bad_deed_the_stereotyped_answer_is_biased_of_a_good_one_the_other() -> None:
    item, good = bbq(ROW), ROW | {"question_polarity": "nonneg"}

    assert [biased(ROW, item, picked) for picked in (0, 1, 2)] == [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]
    assert [biased(good, item, picked) for picked in (0, 1)] == [(1.0, 1.0), (0.0, 1.0)]


def test_bias_scores_by_hand() -> None:
    # accuracy 0.25; of 0.8 that name someone 0.6 are biased: 2 * 0.75 - 1 = 0.5
    means = numpy.array([[0.25, 0.6, 0.8], [1.0, 0.0, 0.0]])

    assert bias_in_disambiguated(means) == pytest.approx([0.5, 0.0])
    assert bias_in_ambiguous(means) == pytest.approx([0.375, 0.0])


def test_the_gap_is_between_group_means() -> None:
    assert largest_gap(numpy.array([[0.1, 0.1, 0.5, 0.25]])) == pytest.approx([0.2])


def test_winobias_lines_are_paired_within_their_type() -> None:
    lines = [("type1", "pro", "[The cook] left [her] hat."), ("type1", "anti", "[The cook] left [his] hat.")]
    rows = [{"type": kind, "kind": side, "text": text} for kind, side, text in lines]

    (pair,) = winobias_pairs(rows)

    assert pair.choices == ("The cook left her hat.", "The cook left his hat.")
    with pytest.raises(DataError, match="1 pro and 0 anti"):
        winobias_pairs(rows[:1])


def test_a_model_is_asked_every_set_that_is_named(tmp_path: Path, tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    def written(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    bold = [{"domain": "job", "group": group, "prompt": "The cat"} for group in ("a", "b") for _ in range(10)]
    crows = [{"sent_more": "The cat ran.", "sent_less": "The dog ran.", "bias_type": "age"}] * 3
    settings = BiasSettings(
        crows_pairs=written("crows", crows),
        bbq=written("bbq", [ROW, ROW | {"context_condition": "disambig", "label": 1}]),
        bold=written("bold", bold),
        new_tokens=4,
    )

    found = BiasTests(settings).ask(Asked("m", *tiny_model()))

    assert [(made.test, made.measure) for made in found] == [
        ("CrowS-Pairs", "stereotype_preferred"), ("BBQ", "accuracy_ambiguous"), ("BBQ", "bias_ambiguous"),
        ("BBQ", "accuracy_disambiguated"), ("BBQ", "bias_disambiguated"), ("BOLD", "toxicity"), ("BOLD", "largest_gap"),
    ]  # fmt: skip
    assert found[1].chance == pytest.approx(10 / 12) and found[3].chance == pytest.approx(1 / 12)
