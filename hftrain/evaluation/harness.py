"""The same benchmarks as task files of lm-evaluation-harness, to be run by it: ``lm_eval --include_path FOLDER``.

The items are written out as they are asked here (prompt, choices, answers), with a task file each; so the harness asks
the very same, whatever file and fields they came from.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hftrain.errors import ConfigError
from hftrain.evaluation.benchmarks import Benchmark, read_benchmarks
from hftrain.evaluation.items import Choice, Completion, Item, Problem, Question
from hftrain.evaluation.settings import Asked
from hftrain.files import write_jsonl
from hftrain.runtime import log

PREFIX = "hftrain_"
"""Before each name, so that the harness' own task of the name stays what it is."""

SPLIT = "test"


def export_tasks(settings: Asked, folder: Path) -> list[str]:
    """Write the benchmarks of a configuration for the harness, but those that run programs; returns their names.

    Raises:
        DataError: A row is not of its task's form.
    """
    benchmarks = read_benchmarks(settings.benchmarks, limit=settings.benchmark_rows)
    for benchmark in benchmarks:
        if benchmark.task.kind == "code":
            log.info("%s: left out: lm-evaluation-harness would run its programs unguarded", benchmark.name)
    return write_tasks([each for each in benchmarks if each.task.kind != "code"], folder)


def write_tasks(benchmarks: Sequence[Benchmark], folder: Path) -> list[str]:
    """Write rows and a task file for each benchmark; returns what the harness calls them.

    Raises:
        ConfigError: A benchmark runs programs: the harness would run them without a sandbox.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for benchmark in benchmarks:
        if benchmark.task.kind == "code":
            raise ConfigError(
                f"{benchmark.name}: runs programs that a model wrote, and lm-evaluation-harness runs them unguarded. "
                "Leave this one out."
            )
        rows = folder / f"{benchmark.name}.jsonl"
        write_jsonl(rows, [_row(item) for item in benchmark.items])
        name = f"{PREFIX}{benchmark.name}"
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {SPLIT: rows.resolve().as_posix()}},
            "test_split": SPLIT,
            "target_delimiter": "",
            "num_fewshot": 0,
            **_form(benchmark),
        }
        text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True, width=1000)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        names.append(name)
    return names


def _row(item: Item) -> Mapping[str, Any]:
    if isinstance(item, Choice):
        gold = item.gold[0] if len(item.gold) == 1 else list(item.gold)
        return {
            "context": item.contexts[0],
            "contexts": list(item.contexts),
            "continuations": list(item.continuations),
            "continuation": item.continuations[0],
            "gold": gold,
        }
    if isinstance(item, Completion):
        return {"context": item.context, "continuation": item.continuation}
    if isinstance(item, Question):
        return {"prompt": item.prompt, "answers": list(item.answers)}
    raise TypeError(f"{type(item).__name__} is a {Problem.__name__}: it is not written out")


def _form(benchmark: Benchmark) -> dict[str, Any]:
    mean = {"aggregation": "mean", "higher_is_better": True}
    if benchmark.task.kind == "completion":
        return {
            "output_type": "loglikelihood",
            "doc_to_text": "{{context}}",
            "doc_to_target": "{{continuation}}",
            "metric_list": [
                {"metric": "acc", **mean},
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            ],
        }
    if benchmark.task.kind == "exact_match":
        return {
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{answers}}",
            "generation_kwargs": {
                "until": list(benchmark.task.until),
                "do_sample": False,
                "max_gen_toks": benchmark.task.new_tokens,
            },
            "filter_list": [
                {"name": "none", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}
            ],
            "metric_list": [{"metric": "exact_match", **mean, "ignore_case": benchmark.task.extract == "words",
                             "ignore_punctuation": benchmark.task.extract == "words"}],
        }  # fmt: skip
    varies = any(len(set(item.contexts)) > 1 for item in benchmark.of(Choice))
    asked = (
        {"doc_to_text": "gold", "doc_to_choice": "contexts", "doc_to_target": "continuation"}
        if varies
        else {"doc_to_text": "{{context}}", "doc_to_choice": "continuations", "doc_to_target": "gold"}
    )
    return {
        "output_type": "multiple_choice",
        **asked,
        "metric_list": [{"metric": "acc", **mean}],
    }
