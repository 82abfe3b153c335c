"""All tests of an evaluation, read once and asked of each model; scores, comparisons, and the values behind them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy

from hftrain.evaluation.benchmarks import Asked, Benchmark, ask, read_benchmarks
from hftrain.evaluation.bias import BiasTests
from hftrain.evaluation.gates import Judged
from hftrain.evaluation.kept_items import row_of
from hftrain.evaluation.leaks import Passages, canary_measures, passage_measures, read_canaries, read_passages
from hftrain.evaluation.safety import SafetyTests
from hftrain.evaluation.scores import Measured, are_paired, centred, compare, needed_items, score_of
from hftrain.evaluation.settings import HELDOUT
from hftrain.evaluation.settings import Asked as Settings
from hftrain.evaluation.task_files import read_rows
from hftrain.runtime import log

SomeSettings = TypeVar("SomeSettings", bound=Settings)

SAFETY, BIAS, BENCHMARK = "safety", "bias", "benchmark"


@dataclass
class Suite:
    """What is asked, and what each model gave so far."""

    settings: Settings
    seed: int
    benchmarks: list[Benchmark]
    safety: SafetyTests
    bias: BiasTests
    corpus: Path
    given: dict[str, list[tuple[str, Measured]]] = field(default_factory=dict)
    """Model -> what kind of test, and what it gave."""

    @classmethod
    def read(cls, settings: Settings, corpus: Path, *, seed: int) -> "Suite":
        """Read every file that the settings name.

        Raises:
            DataError: A row is not of the form of its test.
        """
        return cls(
            settings=settings,
            seed=seed,
            benchmarks=read_benchmarks(settings.benchmarks, limit=settings.benchmark_rows),
            safety=SafetyTests(settings.safety, seed),
            bias=BiasTests(settings.bias),
            corpus=corpus,
        )

    @property
    def asks(self) -> bool:
        """Whether any test beside held-out text is named."""
        return bool(self.benchmarks or self.settings.safety.files() or self.settings.bias.files())

    def ask(self, asked: Asked, heldout: Sequence[Measured] = ()) -> None:
        """Ask one model everything, and keep what it gave beside what was measured on held-out text."""
        found = [(HELDOUT, made) for made in heldout]
        for benchmark in self.benchmarks:
            found += [(BENCHMARK, replace(made, items=benchmark.digest)) for made in ask(benchmark, asked)]
        found += [(SAFETY, made) for made in [*self.safety.ask(asked), *self._leaks(asked)]]
        found += [(BIAS, made) for made in self.bias.ask(asked)]
        self.given[asked.name] = found

    def _leaks(self, asked: Asked) -> list[Measured]:
        """Planted secrets where a file names them; passages wherever any safety test was asked for."""
        settings, found = self.settings.safety, []
        if settings.canaries is not None:
            found += canary_measures(read_canaries(settings.canaries), asked, seed=self.seed)
        if settings.leaks and settings.files():
            found += passage_measures(self._passages, self.corpus, asked, new_tokens=settings.new_tokens)
        return found

    @cached_property
    def _passages(self) -> Passages:
        """The same openings for every model."""
        return read_passages(self.corpus)

    def account(self) -> dict[str, Any]:
        """Scores, comparisons, groups and the mean over benchmarks, as plain values."""
        rows = [
            {"kind": kind, **score_of(model, made, seed=self.seed).row()}
            for model, found in self.given.items()
            for kind, made in found
        ]
        return {
            "scores": rows,
            "comparisons": self._comparisons(),
            "groups": {model: self._groups(found) for model, found in self.given.items()},
            "centred_mean": self.centred_means(),
            "needed_items": {f"{chance:g}": needed_items(chance) for chance in (0.0, 0.2, 0.25, 0.5)},
            "primary": {benchmark.name: benchmark.task.primary for benchmark in self.benchmarks},
            "sources": {benchmark.name: benchmark.task.source for benchmark in self.benchmarks},
        }

    def headline(self, judged: Sequence[Judged]) -> dict[str, Any]:
        """What a summary tells beside the models' own numbers."""
        told: dict[str, Any] = {f"centred_mean_{model}": value for model, value in self.centred_means().items()}
        if judged:
            told |= {"gates": len(judged), "gates_broken": sum(not gate.passed for gate in judged)}
        return told

    def items(self) -> list[dict[str, Any]]:
        """What each model gave, item by item, for tests on the same items later."""
        return [row_of(model, made) for model, found in self.given.items() for _, made in found]

    def centred_means(self) -> dict[str, float]:
        """Of each model, the mean over benchmarks of (score - chance) / (1 - chance): DCLM's CORE on these tasks."""
        primary = {(benchmark.name, benchmark.task.primary) for benchmark in self.benchmarks}
        return {
            model: float(
                numpy.mean(
                    [
                        centred(made.value, made.chance or 0.0)
                        for kind, made in found
                        if kind == BENCHMARK and (made.test, made.measure) in primary
                    ]
                )
            )
            for model, found in self.given.items()
            if primary
        }

    def _comparisons(self) -> list[dict[str, Any]]:
        found = []
        for first, second in itertools.combinations(self.given, 2):
            before = {(made.test, made.measure): made for _, made in self.given[first]}
            for _, made in self.given[second]:
                other = before.get((made.test, made.measure))
                if other is not None and are_paired(made, other):
                    found.append(compare(second, made, first, other, seed=self.seed).row())
        return found

    def _groups(self, found: Sequence[tuple[str, Measured]]) -> dict[str, dict[str, Any]]:
        """The primary measure by group: paradigm, subject, kind of bias."""
        names: Mapping[str, list[str]] = {
            **{benchmark.name: [item.group for item in benchmark.items] for benchmark in self.benchmarks},
            **self.bias.groups(),
        }
        grouped: dict[str, dict[str, Any]] = {}
        for _, made in found:
            groups = names.get(made.test, [])
            if made.test in grouped or len(set(groups)) < 2 or len(groups) != len(made.values_NK):
                continue
            of_group = {
                name: made.values_NK[[place for place, group in enumerate(groups) if group == name], 0]
                for name in sorted(set(groups))
            }
            grouped[made.test] = {
                "measure": made.measure,
                "groups": {
                    name: {"value": float(values.mean()), "count": len(values)} for name, values in of_group.items()
                },
            }
        return grouped


def say(account: Mapping[str, Any]) -> None:
    """One line for each benchmark that is too small to say anything."""
    small: dict[str, int] = {}
    for row in account["scores"]:
        if row["chance"] is not None and row["kind"] == BENCHMARK and row["count"] < needed_items(row["chance"]):
            small[row["test"]] = row["count"]
    for test, count in small.items():
        log.info("%s: %d items are too few to tell a model ten points above chance from a guess", test, count)


def a_part(settings: SomeSettings, part: int) -> SomeSettings:
    """The same settings with a ``part``-th of the rows of each test, and no gates: for an estimate of the whole."""
    benchmarks = {}
    for name, each in settings.benchmarks.items():
        known = len(read_rows(each.file)) if each.file is not None else each.rows or settings.benchmark_rows or part
        asked = min(known, each.rows or settings.benchmark_rows or known)
        benchmarks[name] = replace(each, rows=max(1, asked // part))
    return replace(
        settings,
        benchmarks=benchmarks,
        safety=replace(settings.safety, rows=max(1, settings.safety.rows // part)),
        bias=replace(settings.bias, rows=max(1, settings.bias.rows // part)),
        gates=(),
    )
