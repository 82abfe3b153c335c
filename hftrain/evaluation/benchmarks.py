"""Benchmarks, asked of one model: what it scores, item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.evaluation import measures
from hftrain.evaluation.answers import is_match
from hftrain.evaluation.completing import complete
from hftrain.evaluation.items import Choice, Completion, Item, Problem, Question
from hftrain.evaluation.likelihood import Requests, Scored
from hftrain.evaluation.sandbox import run_programs
from hftrain.evaluation.scores import Floats, Measured, measured
from hftrain.evaluation.settings import BenchmarkSettings
from hftrain.evaluation.task_files import read_items
from hftrain.evaluation.tasks import Task, task_of
from hftrain.files import digest_file, digest_value

SomeItem = TypeVar("SomeItem", bound=Item)


@dataclass
class Benchmark:
    """A task with its items."""

    task: Task
    items: list[Item]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.task.name

    @cached_property
    def digest(self) -> str:
        """Of its items: two runs that asked the same can be compared item by item."""
        return digest_value([repr(item) for item in self.items])

    def of(self, kind: type[SomeItem]) -> list[SomeItem]:
        """The items, which are all of this form."""
        return cast(list[SomeItem], self.items)

    def scored(self, asked: "Asked") -> list[list[Scored]]:
        """The sums of log-probabilities of each item's continuations."""
        return self.requests.scored(asked.model, asked.tokenizer, asked.tokenizer_digest, description=self.name)

    @cached_property
    def requests(self) -> Requests:
        """What is encoded once, and kept for the next model with the same tokenizer."""
        return Requests([item.requests for item in self.items if isinstance(item, Choice | Completion)])


@dataclass(frozen=True)
class Asked:
    """A model that is asked."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    tokenizer_digest: str = ""


def asked_of(name: str, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Asked:
    """A model of a folder, with the digest of its tokenizer."""
    return Asked(name, model, tokenizer, digest_file(folder / "tokenizer.json"))


def read_benchmarks(named: Mapping[str, BenchmarkSettings], *, limit: int | None) -> list[Benchmark]:
    """The benchmarks of a configuration with their items, in its order.

    Raises:
        DataError: A row is not of its task's form.
    """
    tasks = {name: task_of(name, settings) for name, settings in named.items()}
    return [Benchmark(task, read_items(task, named[name], limit=limit)) for name, task in tasks.items()]


def ask(benchmark: Benchmark, asked: Asked) -> list[Measured]:
    """One model's values in each measure of a benchmark; the primary measure first."""
    kind = benchmark.task.kind
    if kind in ("multiple_choice", "minimal_pairs"):
        found = choice_measures(benchmark.name, benchmark.of(Choice), benchmark.scored(asked))
    elif kind == "completion":
        found = _completion_measures(benchmark.name, benchmark.scored(asked))
    elif kind == "exact_match":
        found = _answer_measures(benchmark, asked)
    else:
        found = _program_measures(benchmark, asked)
    return sorted(found, key=lambda made: made.measure != benchmark.task.primary)


def choice_measures(test: str, items: Sequence[Choice], scored: Sequence[Sequence[Scored]]) -> list[Measured]:
    """Accuracies by the sum of log-probabilities, by that sum a character and a byte; how sure, and rightly so.

    As in lm-evaluation-harness (acc, acc_norm, acc_bytes): of equal sums the first choice is taken. The probability
    of the right choices is their share of all choices' (mc2 of TruthfulQA).
    """
    sums = [numpy.array([each.nats for each in found]) for found in scored]
    guess = float(numpy.mean([len(item.gold) / len(item.choices) for item in items]))
    chars = [_lengths([len(text) for text in item.choices]) for item in items]
    bytes_ = [_lengths([len(text.encode()) for text in item.choices]) for item in items]
    shares = [measures.softmax(found) for found in sums]
    right = [float(share[list(item.gold)].sum()) for share, item in zip(shares, items, strict=True)]
    hits = _hits(items, sums)
    found = [
        measured(test, "accuracy", hits, chance=guess),
        measured(test, "right_probability", right, chance=guess),
        Measured(
            test,
            "calibration_error",
            measures.calibration_columns([float(share.max()) for share in shares], hits),
            "lower",
            of=measures.calibration_error_of_means,
        ),
    ]
    if all(item.choices == item.contexts or len(set(item.contexts)) == 1 for item in items):
        found += [
            measured(test, "accuracy_norm", _hits(items, _per(sums, chars)), chance=guess),
            measured(test, "accuracy_bytes", _hits(items, _per(sums, bytes_)), chance=guess),
        ]
    return found


def _lengths(sizes: list[int]) -> Floats:
    return numpy.maximum(1, numpy.array(sizes, float))


def _per(sums: Sequence[Floats], lengths: Sequence[Floats]) -> list[Floats]:
    return [found / length for found, length in zip(sums, lengths, strict=True)]


def _hits(items: Sequence[Choice], sums: Sequence[Floats]) -> list[float]:
    return [float(int(found.argmax()) in item.gold) for item, found in zip(items, sums, strict=True)]


def _completion_measures(test: str, scored: Sequence[Sequence[Scored]]) -> list[Measured]:
    """Whether the words are the likeliest ones, and exp of the mean nats of each item's words."""
    nats = [each.nats for (each,) in scored]
    return [
        measured(test, "accuracy", [float(each.is_greedy) for (each,) in scored], chance=0.0),
        measured(test, "perplexity", nats, better="lower", of=measures.perplexity_of_means),
    ]


def _written(benchmark: Benchmark, asked: Asked, prompts: list[str]) -> list[str]:
    """What the model writes after each prompt, as the task bounds it."""
    task = benchmark.task
    return complete(asked.model, asked.tokenizer, prompts, until=task.until, new_tokens=task.new_tokens)


def _answer_measures(benchmark: Benchmark, asked: Asked) -> list[Measured]:
    task, items = benchmark.task, benchmark.of(Question)
    written = _written(benchmark, asked, [item.prompt for item in items])
    ways = {"accuracy": task.extract} | ({"accuracy_flexible": task.alternative} if task.alternative else {})
    return [
        measured(
            task.name,
            measure,
            [float(is_match(text, item.answers, way)) for text, item in zip(written, items, strict=True)],
            chance=0.0,
        )
        for measure, way in ways.items()
    ]


def _program_measures(benchmark: Benchmark, asked: Asked) -> list[Measured]:
    task, items = benchmark.task, benchmark.of(Problem)
    written = _written(benchmark, asked, [item.prompt for item in items])
    programs = [program_of(item, text) for item, text in zip(items, written, strict=True)]
    outcomes = run_programs(programs)
    return [measured(task.name, "pass_at_1", [float(each.passed) for each in outcomes], chance=0.0)]


def program_of(item: Problem, written: str) -> str:
    """The program that is run for a problem: what was given, what the model wrote, and the tests."""
    return f"{item.opening}{written}\n{item.tests}\n"
