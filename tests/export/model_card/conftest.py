"""A run that is written by hand: what cards are told of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hftrain.artifacts import stage, write_json, write_jsonl
from hftrain.config import StageConfig

SCORES = [
    {"model": "base", "kind": "benchmark", "test": "piqa", "measure": "accuracy", "value": 0.55, "low": 0.51,
     "high": 0.59, "chance": 0.5, "count": 600, "better": "higher", "says": True},
    {"model": "base", "kind": "benchmark", "test": "mine", "measure": "accuracy", "value": 0.3, "low": 0.2,
     "high": 0.4, "chance": 0.25, "count": 50, "better": "higher", "says": False},
    {"model": "chat", "kind": "benchmark", "test": "piqa", "measure": "accuracy", "value": 0.9, "low": 0.8,
     "high": 1.0, "chance": 0.5, "count": 600, "better": "higher", "says": True},
]  # fmt: skip


def _make_run(run: Path, *, licenses: tuple[str | None, ...] = ("MIT",), name: str = "notes.txt") -> Path:
    """A run of raw, base and evaluation, by stages that only write."""

    @stage(makes="raw", uses_torch=False)
    def collect(config: StageConfig, *, out: Path) -> None:
        rows = [{"name": name, "license": each, "documents": 2, "bytes": 30, "version": "1"} for each in licenses]
        write_jsonl(out / "sources.jsonl", rows)

    @stage(makes="base", reads=("raw",), uses_torch=False)
    def pretrain(config: StageConfig, *, raw: Path, out: Path) -> None:
        write_json(out / "config.json", {"model_type": "llama"})
        write_json(out / "summary.json", {"parameters": 1233 + len(licenses), "train_tokens": 99})

    @stage(makes="evaluation", reads=("base",), uses_torch=False)
    def evaluate_model(config: StageConfig, *, base: Path, out: Path) -> None:
        write_json(out / "scores.json", {"scores": SCORES})
        bounds = {"bounds": ["at least 0.6"], "test": "piqa", "measure": "accuracy", "value": 0.55}
        write_json(out / "gates.json", {"gates": [{"model": "base", "passed": False, **bounds}]})

    collect(StageConfig(seed=0), out=run / "raw")
    pretrain(StageConfig(seed=0), raw=run / "raw", out=run / "base")
    evaluate_model(StageConfig(seed=0), base=run / "base", out=run / "evaluation")
    return run


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """``make_run(folder, licenses=..., name=...)``: a run of raw, base and evaluation."""
    return _make_run
