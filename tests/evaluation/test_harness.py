import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hftrain.errors import ConfigError
from hftrain.evaluation.benchmarks import read_benchmarks
from hftrain.evaluation.harness import export_tasks, write_tasks
from hftrain.evaluation.settings import Asked, BenchmarkSettings

ROWS: dict[str, dict[str, Any]] = {
    "blimp": {"good": "Ann is.", "bad": "Ann are.", "uid": "a"},
    "winogrande": {"sentence": "Ann met Eve so _ ran.", "option1": "Ann", "option2": "Eve", "answer": "2"},
    "lambada_openai": {"context": "One two", "continuation": "three"},
    "triviaqa": {"context": "Question: Who?\nAnswer:", "answer": "Ann", "aliases": ["Ann", "Anna"]},
}


def read(tmp_path: Path, *names: str) -> list[Any]:
    named = {}
    for name in names:
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps(ROWS.get(name, {})) + "\n")
        named[name] = BenchmarkSettings(file=path)
    return read_benchmarks(named, limit=None)


def test_the_harness_finds_the_same_requests_under_names_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "out"

    names = write_tasks(read(tmp_path, *ROWS), out)

    assert names == [f"hftrain_{name}" for name in ROWS]
    tasks = {name: yaml.safe_load((out / f"hftrain_{name}.yaml").read_text()) for name in ROWS}
    rows = {name: json.loads((out / f"{name}.jsonl").read_text()) for name in ROWS}
    assert tasks["blimp"]["target_delimiter"] == "" and rows["blimp"]["continuations"] == [" Ann is.", " Ann are."]
    assert tasks["winogrande"]["doc_to_choice"] == "contexts" and rows["winogrande"]["gold"] == 1
    assert rows["lambada_openai"] == {"context": "One two", "continuation": " three"}
    assert tasks["triviaqa"]["generation_kwargs"]["until"] == ["\n", ".", ","]
    assert tasks["triviaqa"]["dataset_kwargs"]["data_files"]["test"].endswith("triviaqa.jsonl")


def test_a_configurations_benchmarks_are_written_but_programs(tmp_path: Path) -> None:
    named = {}
    code = {"prompt": "def f():\n", "test": "def check(g): pass", "entry_point": "f"}
    for name, row in (("blimp", ROWS["blimp"]), ("humaneval", code)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
        named[name] = BenchmarkSettings(file=tmp_path / f"{name}.jsonl")

    assert export_tasks(Asked(benchmarks=named), tmp_path / "out") == ["hftrain_blimp"]


def test_programs_are_not_handed_to_a_runner_without_a_sandbox(tmp_path: Path) -> None:
    ROWS["humaneval"] = {"prompt": "def f():\n", "test": "def check(g): pass", "entry_point": "f"}

    with pytest.raises(ConfigError, match="runs them unguarded"):
        write_tasks(read(tmp_path, "humaneval"), tmp_path / "out")
