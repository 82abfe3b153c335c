"""Rows of a benchmark, from a file or from the Hub."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hftrain.errors import DataError
from hftrain.evaluation.items import Choice, Completion, Item, Question
from hftrain.evaluation.settings import BenchmarkSettings
from hftrain.evaluation.tasks import Task
from hftrain.runtime import log

Rows = list[Mapping[str, Any]]


def read_rows(path: Path) -> Rows:
    """The rows of a file, by what its name ends in: .jsonl, .json, .csv, .tsv, .parquet; the texts also as .gz.

    Raises:
        DataError: The file is of another kind, empty, or broken.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        import pyarrow.parquet

        rows: Rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        try:
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode("utf-8")
            rows = _parsed(name, text)
        except (ValueError, OSError, EOFError, csv.Error) as problem:
            raise DataError(f"{path}: cannot be read ({problem}). Rows in UTF-8 are needed. Mend the file.") from None
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{path}: holds no rows of named fields. Needed: one JSON object a line. Name another file.")
    return rows


def _parsed(name: str, text: str) -> Any:
    if name.endswith((".jsonl", ".ndjson")):
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    if name.endswith(".json"):
        return json.loads(text)
    if name.endswith((".csv", ".tsv")):
        return list(csv.DictReader(io.StringIO(text), delimiter="\t" if name.endswith(".tsv") else ","))
    raise ValueError("its name ends in none of .jsonl, .json, .csv, .tsv, .parquet")


def spread(rows: Sequence[Any], count: int | None) -> list[Any]:
    """At most ``count`` rows, evenly over all of them, so that each part of a sorted file is asked."""
    if count is None or len(rows) <= count:
        return list(rows)
    return [rows[place * len(rows) // count] for place in range(count)]


def read_items(task: Task, settings: BenchmarkSettings, *, limit: int | None) -> list[Item]:
    """The items of a benchmark, with its shots before each prompt.

    Raises:
        DataError: A row is not of the task's form.
    """
    rows = _rows_of(task, settings)
    shots = _Shots(task, settings)
    items = []
    for number, row in enumerate(rows):
        try:
            items.append((task.read(row), row))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as problem:
            raise DataError(
                f"{task.name} row {number}: is not of the form of {settings.task or task.name} "
                f"({type(problem).__name__}: {problem}). Its fields are {', '.join(map(str, row))}. Name another file, "
                f"or set evaluate_model.benchmarks.{task.name}.kind and the fields."
            ) from None
        except DataError as problem:
            raise DataError(f"evaluate_model.benchmarks.{task.name} row {number}: {problem}") from None
    chosen = spread(items, settings.rows or limit)
    if len(chosen) < len(items):
        log.info("%s: %s of %s items are asked", task.name, f"{len(chosen):,}", f"{len(items):,}")
    return [shots.before(item, row) for item, row in chosen]


def _rows_of(task: Task, settings: BenchmarkSettings) -> Rows:
    if settings.file is not None:
        return read_rows(settings.file)
    import datasets

    name, _, revision = (settings.hub or task.hub).partition("@")
    config, split = settings.hub_config or task.hub_config, settings.hub_split or task.hub_split
    return list(datasets.load_dataset(name, config, split=split, revision=revision or None))


class _Shots:
    """Solved rows before a question, as the harness joins them: prompt, delimiter, answer, an empty line."""

    def __init__(self, task: Task, settings: BenchmarkSettings) -> None:
        self.task, self.count = task, settings.shots
        self.rows = read_rows(settings.shots_file) if settings.shots and settings.shots_file else []

    def before(self, item: Item, row: Mapping[str, Any]) -> Item:
        text = self.task.describe(row) + self._solved(item.group)
        if not text:
            return item
        if isinstance(item, Choice):
            return replace(item, contexts=tuple(text + context for context in item.contexts))
        if isinstance(item, Completion):
            return replace(item, context=text + item.context)
        return replace(item, prompt=text + item.prompt)

    def _solved(self, group: str) -> str:
        found: list[str] = []
        for row in self.rows:
            if len(found) == self.count:
                break
            item = self.task.read(row)
            if item.group != group:
                continue
            if isinstance(item, Choice):
                right = item.gold[0]
                found.append(item.contexts[right] + item.continuations[right])
            elif isinstance(item, Completion):
                found.append(item.context + item.continuation)
            else:
                answer = self.task.target(row) if self.task.target else ""
                answer = answer or (item.answers[0] if isinstance(item, Question) else "")
                found.append(f"{item.prompt}{self.task.delimiter}{answer}")
        if len(found) < self.count:
            raise DataError(
                f"evaluate_model.benchmarks.{self.task.name}.shots_file: {len(found)} rows of {group or 'the task'}, "
                f"but shots is {self.count}. As many are needed. Lower shots."
            )
        return "".join(f"{text}\n\n" for text in found)
