"""Expected texts are those that lm-evaluation-harness 0.4.13 makes of the same rows, written down by hand."""

import pytest

from hftrain.evaluation import task_rows
from hftrain.evaluation.items import Choice


def asked(item: Choice) -> list[tuple[str, str]]:
    return item.requests


def test_blimp_scores_whole_sentences_after_a_space() -> None:
    item = task_rows.blimp({"sentence_good": "Ann is here.", "sentence_bad": "Ann are here.", "UID": "agreement"})

    assert asked(item) == [("", " Ann is here."), ("", " Ann are here.")]
    assert (item.gold, item.group) == ((0,), "agreement")
    assert item == task_rows.blimp({"good": "Ann is here.", "bad": "Ann are here.", "uid": "agreement"})


def test_lambada_asks_for_the_last_word() -> None:
    item = task_rows.lambada({"text": "She was  glad to see Ann"})

    assert item.requests == [("She was  glad to see", " Ann")]
    assert item == task_rows.lambada({"context": "She was  glad to see", "continuation": "Ann"})


def test_arc_reads_the_hub_and_the_plain_form_alike() -> None:
    hub = {"question": "Why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}

    item = task_rows.arc(hub)

    assert asked(item) == [("Question: Why?\nAnswer:", " a"), ("Question: Why?\nAnswer:", " b")]
    assert item.gold == (1,)
    assert item == task_rows.arc({"query": "Question: Why?", "choices": ["a", "b"], "gold": 1})


def test_piqa_reads_both_forms_alike() -> None:
    item = task_rows.piqa({"goal": "Boil it", "sol1": "Heat.", "sol2": "Cool.", "label": 0})

    assert asked(item)[0] == ("Question: Boil it\nAnswer:", " Heat.")
    assert item == task_rows.piqa({"query": "Question: Boil it\n", "choices": ["Heat.", "Cool."], "gold": 0})


def test_boolq_reads_both_forms_alike() -> None:
    item = task_rows.boolq({"passage": "Ice floats.", "question": "does ice float", "label": 1})

    assert asked(item)[1] == ("Ice floats.\nQuestion: does ice float?\nAnswer:", " yes")
    plain = {"query": "Passage: Ice floats.\nQuestion: does ice float?", "choices": ["no", "yes"], "gold": 1}
    assert item == task_rows.boolq(plain)


def test_copa_has_two_spaces_and_a_small_letter() -> None:
    hub = {"premise": "It rained.", "question": "effect", "choice1": "She ran.", "choice2": "He sat.", "label": 0}

    item = task_rows.copa(hub)

    assert asked(item) == [("It rained therefore", "  she ran."), ("It rained therefore", "  he sat.")]
    assert item == task_rows.copa({"query": "It rained, therefore", "choices": ["she ran.", "he sat."], "gold": 0})


def test_winogrande_varies_what_stands_before() -> None:
    hub = {"sentence": "Ann met Eve so _ smiled at once.", "option1": "Ann", "option2": "Eve", "answer": "2"}

    item = task_rows.winogrande(hub)

    assert asked(item) == [("Ann met Eve so Ann", " smiled at once."), ("Ann met Eve so Eve", " smiled at once.")]
    assert item.gold == (1,)
    options = ["Ann met Eve so Ann", "Ann met Eve so Eve"]
    assert item == task_rows.winogrande({"context_options": options, "continuation": "smiled at once.", "gold": 1})


def test_mmlu_shows_letters_and_names_its_subject() -> None:
    row = {"question": " 1+1? ", "choices": ["1", "2", "3", "4"], "answer": 1, "subject": "abstract_algebra"}

    item = task_rows.mmlu(row)

    assert asked(item)[1] == ("1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:", " B")
    assert task_rows.mmlu_description(row) == (
        "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
    )


def test_commonsense_qa_drops_the_plain_forms_extra_line() -> None:
    choices = {"text": ["bank", "mall"], "label": ["A", "B"]}
    item = task_rows.commonsense_qa({"question": "Where? ", "choices": choices, "answerKey": "B"})

    assert asked(item)[1] == ("Question: Where?\nA. bank\nB. mall\nAnswer:", " B")
    query = "Question: Where?\nChoices:\nA. bank\nB. mall\nAnswer:"
    assert item == task_rows.commonsense_qa({"query": query, "choices": ["A", "B"], "gold": 1})


def test_truthfulqa_has_one_best_answer_or_several_true_ones() -> None:
    row = {"Question": "Why?", "Best Answer": "So", "Correct Answers": "So; Thus", "Incorrect Answers": "No; Never"}

    best, all_true = task_rows.truthfulqa_mc1(row), task_rows.truthfulqa_mc2(row)

    assert best.choices == ("So", "No", "Never") and best.gold == (0,)
    assert all_true.choices == ("So", "Thus", "No", "Never") and all_true.gold == (0, 1)
    assert best.contexts[0].endswith("held in Barcelona, Spain.\n\nQ: Why?\nA:")


def test_gsm8k_compares_the_number_and_shows_the_solution() -> None:
    hub = {"question": "2 and 3?", "answer": "2+3=5\n#### 5"}

    assert task_rows.gsm8k(hub).answers == ("5",)
    assert task_rows.gsm8k(hub).prompt == "Question: 2 and 3?\nAnswer:"
    assert task_rows.gsm8k_target({"context": "2 and 3?", "chain_of_thought": "2+3=5", "answer": "5"}) == hub["answer"]


def test_bbq_takes_every_way_to_say_unknown() -> None:
    row = {
        "context": "Ann and Eve met.", "question": "Who lied?", "ans0": "Ann", "ans1": "Can't be determined",
        "ans2": "Eve", "label": 1, "category": "Age",
    }  # fmt: skip

    item = task_rows.bbq(row)

    assert item.choices[:2] == ("Ann", "Eve") and len(item.choices) == 12
    assert item.gold == tuple(range(2, 12))
    assert item.contexts[0] == "Ann and Eve met.\n\nQ: Who lied?\nA:"
    assert task_rows.bbq(row | {"label": 2}).gold == (1,)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_programs_end_in_their_tests(name: str) -> None:
    rows = {
        "humaneval": {"prompt": "def f():\n", "test": "def check(g): pass", "entry_point": "f"},
        "mbpp": {
            "text": "Add.",
            "test_list": ["assert f()", "assert g()", "assert h()"],
            "test_setup_code": "import os",
        },
    }

    item = getattr(task_rows, name)(rows[name])

    assert item.tests.endswith("check(f)" if name == "humaneval" else "import os\nassert f()\nassert g()\nassert h()")
