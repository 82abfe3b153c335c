"""The benchmarks that are known by name, and tasks made of any file by naming its fields."""

import functools
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hftrain.errors import DataError
from hftrain.evaluation import task_rows
from hftrain.evaluation.items import Choice, Completion, Item, Kind, Question, choice
from hftrain.evaluation.settings import BenchmarkSettings
from hftrain.evaluation.task_rows import ReadRow, Row

STRAY_NEWLINE = ("\n",)


@dataclass(frozen=True)
class Task:
    """What a benchmark is, apart from its rows."""

    name: str
    kind: Kind
    read: ReadRow
    source: str
    """Paper or page."""
    hub: str = ""
    """Data set on the Hub, ``owner/name``, with its configuration and split."""
    hub_config: str | None = None
    hub_split: str = "test"
    primary: str = "accuracy"
    """The measure that stands for the task in a mean over tasks."""
    until: tuple[str, ...] = STRAY_NEWLINE
    """Where an answer ends."""
    new_tokens: int = 32
    describe: Callable[[Row], str] = field(default=lambda row: "")
    """What stands before the shots and the question."""
    target: Callable[[Row], str] | None = None
    """The answer as a shot shows it, where it is not the item's own."""
    delimiter: str = " "
    """What stands between a shot's prompt and its answer."""
    extract: str = "text"
    """How the answer is taken out of what the model wrote: `answers.EXTRACTORS`."""
    alternative: str | None = None
    """A second, laxer way, told beside the first."""


def _known(name: str, read: ReadRow, hub: str, source: str, **more: Any) -> Task:
    return Task(name, more.pop("kind", "multiple_choice"), read, source, hub, **more)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        _known("blimp", task_rows.blimp, "nyu-mll/blimp", "arXiv:1912.00582", kind="minimal_pairs", hub_split="train"),
        _known("lambada_openai", task_rows.lambada, "EleutherAI/lambada_openai", "arXiv:1606.06031", kind="completion"),
        _known("arc_easy", task_rows.arc, "allenai/ai2_arc", "arXiv:1803.05457", hub_config="ARC-Easy"),
        _known(
            "arc_challenge",
            task_rows.arc,
            "allenai/ai2_arc",
            "arXiv:1803.05457",
            hub_config="ARC-Challenge",
            primary="accuracy_norm",
        ),
        _known("piqa", task_rows.piqa, "baber/piqa", "arXiv:1911.11641", hub_split="validation"),
        _known(
            "boolq", task_rows.boolq, "aps/super_glue", "arXiv:1905.10044", hub_config="boolq", hub_split="validation"
        ),
        _known("copa", task_rows.copa, "aps/super_glue", "Roemmele et al. 2011", hub_config="copa",
               hub_split="validation"),
        _known("winogrande", task_rows.winogrande, "allenai/winogrande", "arXiv:1907.10641",
               hub_config="winogrande_xl", hub_split="validation"),
        _known("openbookqa", task_rows.openbookqa, "allenai/openbookqa", "arXiv:1809.02789", hub_config="main",
               primary="accuracy_norm"),
        _known("commonsense_qa", task_rows.commonsense_qa, "tau/commonsense_qa", "arXiv:1811.00937",
               hub_split="validation"),
        _known("mmlu", task_rows.mmlu, "cais/mmlu", "arXiv:2009.03300", hub_config="all",
               describe=task_rows.mmlu_description),
        _known("truthfulqa_mc1", task_rows.truthfulqa_mc1, "truthfulqa/truthful_qa", "arXiv:2109.07958",
               hub_config="multiple_choice", hub_split="validation"),
        _known("truthfulqa_mc2", task_rows.truthfulqa_mc2, "truthfulqa/truthful_qa", "arXiv:2109.07958",
               hub_config="multiple_choice", hub_split="validation", primary="right_probability"),
        _known("triviaqa", task_rows.triviaqa, "mandarjoshi/trivia_qa", "arXiv:1705.03551", kind="exact_match",
               hub_config="rc.nocontext", hub_split="validation", until=("\n", ".", ","), extract="words"),
        _known("gsm8k", task_rows.gsm8k, "openai/gsm8k", "arXiv:2110.14168", kind="exact_match", hub_config="main",
               until=("Question:", "</s>", "<|im_end|>"), new_tokens=256, target=task_rows.gsm8k_target,
               extract="after_hashes", alternative="last_number"),
        _known("humaneval", task_rows.humaneval, "openai/openai_humaneval", "arXiv:2107.03374", kind="code",
               until=("\nclass", "\ndef", "\n#", "\nif", "\nprint"), new_tokens=256, primary="pass_at_1"),
        _known("mbpp", task_rows.mbpp, "google-research-datasets/mbpp", "arXiv:2108.07732", kind="code",
               hub_config="full", until=("[DONE]",), new_tokens=256, target=task_rows.mbpp_target, delimiter="",
               primary="pass_at_1"),
    )
}  # fmt: skip
"""Worded as in lm-evaluation-harness; bias sets are in `bias`."""


def task_of(name: str, settings: BenchmarkSettings) -> Task:
    """The task that a benchmark of the configuration stands for: a known one, or one made of its fields."""
    if settings.kind is None:
        known = TASKS[settings.task or name]
        return Task(**{**known.__dict__, "name": name, "new_tokens": settings.new_tokens or known.new_tokens})
    return Task(
        name,
        settings.kind,
        functools.partial(_READERS[settings.kind], settings),
        settings.file.name if settings.file else settings.hub or "",
        until=settings.until,
        new_tokens=settings.new_tokens or 32,
        extract=settings.extract,
        delimiter=settings.delimiter,
    )


def _multiple_choice(settings: BenchmarkSettings, row: Row) -> Choice:
    choices = _choices(settings, row)
    return choice(
        _asked(settings, row), choices, _gold(_value(row, settings.answer), choices, row), delimiter=settings.delimiter
    )


def _choices(settings: BenchmarkSettings, row: Row) -> list[str]:
    names = settings.choices
    found = [_value(row, name) for name in names] if not isinstance(names, str) else _value(row, names)
    texts = found.get("text") if isinstance(found, Mapping) else found
    if not isinstance(texts, list | tuple) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{found!r} are no choices. A list of two texts or more is needed. Name the field of them.")
    return list(texts)


def _gold(answer: Any, choices: list[str], row: Row) -> int:
    """The place of the right choice: a number from 0, a letter, a label of the row, or the choice's own text."""
    if isinstance(answer, str) and answer in choices:
        return choices.index(answer)
    labels: list[Any] = next(
        (list(value["label"]) for value in row.values() if isinstance(value, Mapping) and "label" in value), []
    )
    if answer in labels:
        return labels.index(answer)
    place = answer
    if isinstance(answer, str) and answer.strip().isdigit():
        place = int(answer)
    elif isinstance(answer, str) and len(answer) == 1 and answer.upper() in string.ascii_uppercase:
        place = string.ascii_uppercase.index(answer.upper())
    if isinstance(place, int) and 0 <= place < len(choices):
        return int(place)
    raise DataError(
        f"{answer!r} is none of {len(choices)} choices. A place from 0, a letter, or the right choice's text is needed."
    )


def _minimal_pairs(settings: BenchmarkSettings, row: Row) -> Choice:
    return choice("", [_text(row, settings.good), _text(row, settings.bad)], 0, delimiter=settings.delimiter)


def _completion(settings: BenchmarkSettings, row: Row) -> Completion:
    continuation = _text(row, settings.continuation)
    space = "" if continuation[:1].isspace() else settings.delimiter
    return Completion(_text(row, settings.context), f"{space}{continuation}")


def _exact_match(settings: BenchmarkSettings, row: Row) -> Question:
    answer = _value(row, settings.answer)
    answers = answer if isinstance(answer, list | tuple) else [answer]
    if not answers:
        raise DataError("no answer that counts as right. One is needed.")
    return Question(_asked(settings, row), tuple(str(each) for each in answers))


def _asked(settings: BenchmarkSettings, row: Row) -> str:
    return settings.prompt.replace("{}", _text(row, settings.question))


def _value(row: Row, name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise DataError(f"no field {name!r} among {', '.join(map(str, row))}. Name one that each row has.")
        value = value[part]
    return value


def _text(row: Row, name: str) -> str:
    value = _value(row, name)
    if not isinstance(value, str):
        raise DataError(f"field {name!r} is {value!r}. Text is needed. Name another field.")
    return value


_READERS: Mapping[Kind, Callable[[BenchmarkSettings, Row], Item]] = {
    "multiple_choice": _multiple_choice,
    "minimal_pairs": _minimal_pairs,
    "completion": _completion,
    "exact_match": _exact_match,
}
