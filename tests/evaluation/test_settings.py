from pathlib import Path

import pytest

from hftrain.config import load_section
from hftrain.errors import ConfigError
from hftrain.stages.evaluate_model import EvaluateModelConfig


def loaded(path: Path, text: str) -> EvaluateModelConfig:
    path.write_text("evaluate_model:\n" + text)
    return load_section(EvaluateModelConfig, "evaluate_model", path)


def test_a_task_of_ones_own_is_made_by_naming_its_fields(tmp_path: Path) -> None:
    rows = tmp_path / "quiz.jsonl"
    rows.write_text("{}\n")

    config = loaded(
        tmp_path / "run.yaml",
        f"  benchmarks:\n    quiz: {{file: {rows}, kind: multiple_choice, question: q, choices: [a, b], answer: r}}\n",
    )

    assert config.benchmarks["quiz"].choices == ("a", "b")
    assert config.outside() == {"benchmarks.quiz.file": config.outside()["benchmarks.quiz.file"]}
    assert config.outside()["benchmarks.quiz.file"].startswith("sha256:")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  benchmarks: {arc_esy: {}}\n", "no task is called arc_esy. Did you mean arc_easy"),
        ("  benchmarks: {mine: {kind: completion}}\n", "kind completion, but no rows"),
        ("  benchmarks: {piqa: {file: gone.jsonl}}\n", "gone.jsonl is not there"),
        ("  benchmarks: {piqa: {shots: 2}}\n", "shots: 2, but no shots_file"),
        ("  benchmarks: {piqa: {prompt: What}}\n", "has no {}"),
        ("  safety: {harmful: [gone.jsonl]}\n", r"safety.harmful\[0\]: gone.jsonl is not there"),
        ("  bias: {bbq: gone.jsonl}\n", "bias.bbq: gone.jsonl is not there"),
        ("  gates: [{test: piqa, measure: accuracy}]\n", r"gates\[0\]: bounds nothing"),
        ("  gates: [{test: piqa, measure: accuracy, no_worse_than: policy}]\n", "is the model itself"),
        ("  gates: [{tset: piqa, measure: accuracy}]\n", "tset: unknown key; did you mean test"),
        ("  safety: {rows: 0}\n", "safety.rows: 0. 1 or more"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(tmp_path / "run.yaml", text)
