from pathlib import Path
from typing import Any

import pytest

from hftrain.errors import DataError
from hftrain.evaluation.items import Choice, Completion, Question
from hftrain.evaluation.settings import KNOWN_TASKS, BenchmarkSettings
from hftrain.evaluation.tasks import TASKS, task_of


def own(**settings: Any) -> Any:
    return task_of("mine", BenchmarkSettings(file=Path("rows.jsonl"), **settings)).read


def test_the_settings_know_every_task() -> None:
    assert sorted(TASKS) == sorted(KNOWN_TASKS)


def test_a_known_task_can_have_another_name() -> None:
    task = task_of("science", BenchmarkSettings(task="arc_easy"))

    assert (task.name, task.read) == ("science", TASKS["arc_easy"].read)


@pytest.mark.parametrize("answer", ["b", "B", 1, "1", "two"])
def test_the_right_choice_may_be_a_letter_a_place_or_its_text(answer: Any) -> None:
    read = own(kind="multiple_choice", question="q", choices="options", answer="right", prompt="Q: {}\nA:")

    item = read({"q": "Which?", "options": ["one", "two", "three"], "right": answer})

    assert item == Choice(("Q: Which?\nA:",) * 3, (" one", " two", " three"), ("one", "two", "three"), (1,))


def test_choices_may_stand_in_fields_of_their_own_and_within_others() -> None:
    apart = own(kind="multiple_choice", choices=("first", "second"))
    within = own(kind="multiple_choice", choices="meta.options")

    row = {"question": "?", "first": "x", "second": "y", "answer": "y", "meta": {"options": ["x", "y"]}}

    assert apart(row).choices == within(row).choices == ("x", "y")
    assert apart(row).gold == (1,)


def test_labels_of_the_hubs_form_are_understood() -> None:
    read = own(kind="multiple_choice", answer="answerKey")

    item = read({"question": "?", "choices": {"text": ["x", "y"], "label": ["3", "4"]}, "answerKey": "4"})

    assert item.gold == (1,)


def test_pairs_completions_and_answers_are_read_by_their_fields() -> None:
    pair = own(kind="minimal_pairs", good="ok", bad="wrong")({"ok": "Ann is.", "wrong": "Ann are."})
    text = own(kind="completion", context="before", continuation="after")({"before": "One two", "after": "three"})
    answer = own(kind="exact_match", question="ask", answer="answers")({"ask": "1+1?", "answers": ["2", 2.0]})

    assert pair.requests == [("", " Ann is."), ("", " Ann are.")]
    assert text == Completion("One two", " three")
    assert answer == Question("Question: 1+1?\nAnswer:", ("2", "2.0"))


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="no field 'answer' among question, choices"):
        own(kind="multiple_choice")({"question": "?", "choices": ["a", "b"]})


def test_an_answer_that_is_no_choice_is_refused() -> None:
    with pytest.raises(DataError, match="'z' is none of 2 choices"):
        own(kind="multiple_choice")({"question": "?", "choices": ["a", "b"], "answer": "z"})
