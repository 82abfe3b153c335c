"""Our sums of log-probabilities beside plain transformers' and lm-evaluation-harness' own tasks, on the same rows.

    python tests/bench/evaluation_sums.py MODEL DATA [--rows 20] [--tasks piqa,copa]

MODEL is a folder that transformers opens; DATA holds the rows in llm-foundry's plain form (eval-core, eval-blimp,
eval-mmlu-truthfulqa). They are written out with the columns that the sets have on the Hub, read by both sides.
Needs lm-eval (0.4.13) beside hftrain. "directly" is one text a row through the model, nothing batched or shared.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from evaluation_rows import NAMES, PLAIN, Timed, by_harness, written
from transformers import AutoModelForCausalLM, AutoTokenizer

from hftrain.evaluation.benchmarks import Asked, ask, choice_measures, read_benchmarks
from hftrain.evaluation.items import Choice, Completion
from hftrain.evaluation.likelihood import score_requests
from hftrain.evaluation.settings import BenchmarkSettings
from hftrain.evaluation.task_files import read_rows
from hftrain.evaluation.task_rows import bbq, crows_pairs

HARNESS = {"accuracy": "acc", "accuracy_norm": "acc_norm", "perplexity": "perplexity"}
SPECIAL = {
    ("truthfulqa_mc2", "right_probability"): "acc",
    ("triviaqa", "accuracy"): "exact_match",
    ("crows_pairs_english", "accuracy"): "pct_stereotype",
}
Sums = list[list[float]]


def directly(asked: Asked, groups: list[list[tuple[str, str]]]) -> Sums:
    """Each sum by itself: the context's tokens counted off, the rest's log-probabilities added up."""
    return [[_directly(asked, *request) for request in group] for group in groups]


def _directly(asked: Asked, context: str, continuation: str) -> float:
    tokenizer, kept = asked.tokenizer, context.rstrip()
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids = tokenizer(context + continuation)["input_ids"]
    whole = ids if context else [first, *ids]
    skipped = len(tokenizer(kept)["input_ids"]) if context else 1
    size = asked.model.config.max_position_embeddings + 1
    rows = torch.tensor([whole[-size:]])
    with torch.no_grad():
        log_p = asked.model(rows[:, :-1]).logits[0].double().log_softmax(-1)
    chosen = log_p.gather(1, rows[0, 1:, None])[:, 0]
    return float(chosen[-(len(whole) - skipped) :].sum())


def by_us(name: str, path: Path, asked: Asked) -> tuple[dict[str, float], Sums, list[list[tuple[str, str]]]]:
    """Our scores, our sums, and the requests."""
    if name in ("bbq", "crows_pairs_english"):
        items: list[Any] = [(bbq if name == "bbq" else crows_pairs)(row) for row in read_rows(path)]
        scored = score_requests(asked.model, asked.tokenizer, [item.requests for item in items])
        made = choice_measures(name, items, scored)
    else:
        settings = BenchmarkSettings(file=path, task=NAMES.get(name, name))
        (benchmark,) = read_benchmarks({name: settings}, limit=None)
        made, items = ask(benchmark, asked), benchmark.items
        scored = benchmark.scored(asked) if isinstance(items[0], Choice | Completion) else []
    requests = [item.requests for item in items if isinstance(item, Choice | Completion)]
    return {each.measure: each.value for each in made}, [[each.nats for each in one] for one in scored], requests


def furthest(ours: Sums, others: Sums) -> float:
    pairs = zip(ours, others, strict=False)
    return max((abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True)), default=float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--tasks", default=",".join(PLAIN))
    given = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    asked, other = Asked(given.model.name, model, tokenizer), Timed(pretrained=model, tokenizer=tokenizer, batch_size=1)
    print(f"{'task':22}{'measure':19}{'ours':>10}{'harness':>10}{'off harness':>13}{'off directly':>14}{'sums':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.tasks.split(","):
            path = written(name, given.data, Path(folder), given.rows)
            ours, sums, requests = by_us(name, path, asked)
            theirs, their_sums = by_harness(name, path, other)
            plain = furthest(sums, directly(asked, requests))
            off, count = furthest(sums, their_sums), sum(map(len, sums))
            for measure, value in ours.items():
                key = SPECIAL.get((name, measure), HARNESS.get(measure) if name != "truthfulqa_mc2" else None)
                if key in theirs:
                    print(f"{name:22}{measure:19}{value:10.4f}{theirs[key]:10.4f}{off:13.1e}{plain:14.1e}{count:6}",
                          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
