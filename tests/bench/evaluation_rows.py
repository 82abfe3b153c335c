"""The plain rows of eval-core, eval-blimp, eval-mmlu-truthfulqa with the columns that the sets have on the Hub, and
lm-evaluation-harness on a file of them by its own task: what `evaluation` and `evaluation_sums` share."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import lm_eval.tasks
from lm_eval.models.huggingface import HFLM

from hftrain.evaluation.task_files import read_rows, spread

Row = Mapping[str, Any]
LETTERS = "ABCDEFGH"


def lettered(texts: list[str]) -> dict[str, list[str]]:
    return {"text": texts, "label": list(LETTERS[: len(texts)])}


def blimp(row: Row) -> Row:
    return {"sentence_good": row["good"], "sentence_bad": row["bad"], "UID": row["uid"]}


def lambada(row: Row) -> Row:
    return {"text": f"{row['context']} {row['continuation']}"}


def arc(row: Row) -> Row:
    question = row["query"].removeprefix("Question: ")
    return {"question": question, "choices": lettered(row["choices"]), "answerKey": LETTERS[row["gold"]]}


def piqa(row: Row) -> Row:
    goal = row["query"].removeprefix("Question: ").removesuffix("\n")
    return {"goal": goal, "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}


def boolq(row: Row) -> Row:
    passage, _, question = row["query"].removeprefix("Passage: ").rpartition("\nQuestion: ")
    return {"passage": passage, "question": question.removesuffix("?"), "label": row["gold"]}


def copa(row: Row) -> Row:
    premise, _, connector = row["query"].rpartition(", ")
    asked = {"because": "cause", "therefore": "effect"}[connector]
    first, second = row["choices"]
    return {"premise": premise + ".", "question": asked, "choice1": first, "choice2": second, "label": row["gold"]}


def winogrande(row: Row) -> Row:
    first, second = row["context_options"]
    same = next(place for place in range(len(first) + 1) if first[: place + 1] != second[: place + 1])
    return {"sentence": f"{first[:same]}_ {row['continuation']}", "option1": first[same:], "option2": second[same:],
            "answer": str(row["gold"] + 1)}  # fmt: skip


def openbookqa(row: Row) -> Row:
    return {"question_stem": row["query"], "choices": lettered(row["choices"]), "answerKey": LETTERS[row["gold"]]}


def commonsense_qa(row: Row) -> Row:
    question, _, rest = row["query"].removeprefix("Question: ").partition("\nChoices:\n")
    texts = [line[3:] for line in rest.removesuffix("\nAnswer:").split("\n")]
    texts += ["none of these"] * (5 - len(texts))  # the plain rows have four of five
    return {"question": question, "choices": lettered(texts), "answerKey": LETTERS[row["gold"]]}


def truthfulqa(row: Row) -> Row:
    right, wrong = row["Correct Answers"].split("; "), row["Incorrect Answers"].split("; ")
    return {
        "question": row["Question"],
        "mc1_targets": {"choices": [row["Best Answer"], *wrong], "labels": [1] + [0] * len(wrong)},
        "mc2_targets": {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)},
    }


def triviaqa(row: Row) -> Row:
    question = row["context"].removeprefix("Question: ").removesuffix("\nAnswer:").removesuffix("?")
    return {"question": question, "answer": {"aliases": list(dict.fromkeys([row["answer"], *row["aliases"]]))}}


def as_it_is(row: Row) -> Row:
    return row


CORE, MORE = "eval-core", "eval-mmlu-truthfulqa"
PLAIN: Mapping[str, tuple[str, Callable[[Row], Row]]] = {
    "blimp_adjunct_island": ("eval-blimp/blimp.jsonl.gz", blimp),
    "lambada_openai": (f"{CORE}/lambada_openai.jsonl.gz", lambada),
    "arc_easy": (f"{CORE}/arc_easy.jsonl.gz", arc),
    "piqa": (f"{CORE}/piqa.jsonl.gz", piqa),
    "boolq": (f"{CORE}/boolq.jsonl.gz", boolq),
    "copa": (f"{CORE}/copa.jsonl.gz", copa),
    "winogrande": (f"{CORE}/winogrande.jsonl.gz", winogrande),
    "openbookqa": (f"{CORE}/openbook_qa.jsonl.gz", openbookqa),
    "commonsense_qa": (f"{CORE}/commonsense_qa.jsonl.gz", commonsense_qa),
    "mmlu_abstract_algebra": (f"{MORE}/mmlu_test.jsonl.gz", as_it_is),
    "truthfulqa_mc1": (f"{MORE}/truthfulqa.jsonl.gz", truthfulqa),
    "truthfulqa_mc2": (f"{MORE}/truthfulqa.jsonl.gz", truthfulqa),
    "triviaqa": (f"{CORE}/triviaqa_sm_sub.jsonl.gz", triviaqa),
    "crows_pairs_english": ("bias/crows_pairs.jsonl.gz", as_it_is),
    "bbq": ("bias/bbq_5_categories.jsonl.gz", as_it_is),
}
# A task of one file stands for those that share its wording.
NAMES = {"blimp_adjunct_island": "blimp", "mmlu_abstract_algebra": "mmlu"}


def written(name: str, data: Path, folder: Path, rows: int) -> Path:
    """The rows with the Hub's columns."""
    file, convert = PLAIN[name]
    found = read_rows(data / file)
    if name.startswith("mmlu"):
        found = [row for row in found if row["subject"] == "abstract_algebra"]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(convert(row)) + "\n" for row in spread(found, rows)), encoding="utf-8")
    return path


class Timed(HFLM):
    """The harness' model, that says how long it was asked for."""

    seconds = 0.0

    def loglikelihood(self, *given: Any, **named: Any) -> Any:
        return self._timed(super().loglikelihood, *given, **named)

    def generate_until(self, *given: Any, **named: Any) -> Any:
        return self._timed(super().generate_until, *given, **named)

    def _timed(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        began = time.monotonic()
        try:
            return work(*given, **named)
        finally:
            self.seconds += time.monotonic() - began


def by_harness(name: str, path: Path, model: Timed) -> tuple[dict[str, float], list[list[float]]]:
    """The harness' scores by its own task file on these rows, and its sums of log-probabilities."""
    rows = datasets.Dataset.from_list(read_rows(path))
    splits = datasets.DatasetDict({split: rows for split in ("train", "validation", "test", "dev")})
    plain, datasets.load_dataset = datasets.load_dataset, lambda *given, **named: splits
    try:
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=[name],
            num_fewshot=0,
            bootstrap_iters=0,
            log_samples=True,
            verbosity="ERROR",
            gen_kwargs={"max_gen_toks": 32},
        )
    finally:
        datasets.load_dataset = plain
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    sums = [[float(each[0][0]) if isinstance(each[0], tuple | list) else 0.0 for each in one["resps"]]
            for one in samples]  # fmt: skip
    scores = {key.partition(",")[0]: value for key, value in found["results"][name].items() if "," in key}
    return {key: value for key, value in scores.items() if isinstance(value, float)}, sums
