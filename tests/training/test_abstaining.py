import json
from pathlib import Path

import pytest

from hftrain.errors import DataError
from hftrain.training.abstaining import (
    Question,
    SortedQuestions,
    outcome,
    read_questions,
    sort_by_support,
    taught_conversations,
)

FRANCE = Question("What is the capital of France?", "Paris")
SPAIN = Question("What is the capital of Spain?", "Madrid")
PEAK = Question("Who first climbed the mountain Everest?", "Edmund Hillary")


def held(questions: list[Question], *texts: str) -> list[Question]:
    return sort_by_support(questions, texts).held


def test_a_question_is_held_if_its_answer_stands_near_its_words() -> None:
    assert held([FRANCE, SPAIN], "The CAPITAL of France is Paris.", "Madrid is hot.") == [FRANCE]


def test_half_of_the_content_words_are_enough_and_less_is_not() -> None:
    assert held([FRANCE], "Paris, France") == [FRANCE]  # france of capital, france
    assert held([PEAK], "Edmund Hillary climbed it.") == []  # climbed of climbed, mountain, everest
    assert held([PEAK], "Everest was climbed by Edmund Hillary.") == [PEAK]


def test_a_word_of_many_questions_alone_answers_none_of_them() -> None:
    places = ("Bolivia", "Chad", "Peru", "Togo")
    asked = [Question(f"What is the capital of {place}?", "Ruze") for place in places]
    assert held(asked, "Ruze is the capital of Chad.") == [asked[1]]


def test_the_answers_words_must_stand_in_a_row_and_whole() -> None:
    assert held([PEAK], "Hillary Edmund climbed the mountain Everest.") == []
    assert held([FRANCE], "The Parisian capital of France") == []


def test_words_far_from_the_answer_do_not_count() -> None:
    near, far = " word" * 45, " word" * 60
    assert held([FRANCE], f"The capital of France:{near} Paris") == [FRANCE]
    assert held([FRANCE], f"The capital of France:{far} Paris") == []
    assert held([FRANCE], "The capital of France", "Paris") == []


def test_answers_that_stand_near_anything_are_left_out_and_counted() -> None:
    vague = [Question("Is Paris the capital?", "Yes"), Question("How many rivers?", "2"), Question("Who is it?", "Ann")]
    found = sort_by_support([*vague, FRANCE], ["Yes, the capital has 2 rivers. Ann."])
    assert (found.held, found.not_held, found.left_out) == ([], [FRANCE], 3)


def test_questions_of_one_answer_are_told_apart() -> None:
    river = Question("Which river city hosted the Olympics?", "Paris")
    assert held([FRANCE, river], "Paris is the capital of France.") == [FRANCE]


def test_what_is_said_is_right_wrong_or_declined() -> None:
    no = "I don't know."
    assert outcome(FRANCE, "It is paris!", no) == "right"
    assert outcome(FRANCE, "Parisian", no) == "wrong"
    assert outcome(FRANCE, "", no) == "wrong"
    assert outcome(FRANCE, "I don't know. Paris?", no) == "declined"


def many(count: int, name: str) -> list[Question]:
    return [Question(f"Question {name} {number}?", str(number)) for number in range(count)]


def test_declining_rows_are_the_stated_share_with_as_many_that_answer() -> None:
    questions = SortedQuestions(many(100, "held"), many(100, "other"))
    declined, answered = taught_conversations(questions, answer="No idea.", share=0.1, other_rows=80)
    assert (len(declined), len(answered)) == (10, 10)
    assert declined[0][1] == {"role": "assistant", "content": "No idea."}
    assert answered[3][1]["content"] == "3"


def test_with_few_held_questions_the_share_is_kept() -> None:
    declined, answered = taught_conversations(
        SortedQuestions([], many(50, "other")), answer="No.", share=0.2, other_rows=80
    )
    assert (len(declined), len(answered)) == (20, 0)  # 20 of 100


def test_too_few_questions_are_an_error_with_the_count() -> None:
    with pytest.raises(DataError, match=r"is 20 questions to decline, but the training text does not answer 3"):
        taught_conversations(SortedQuestions([], many(3, "other")), answer="No.", share=0.2, other_rows=80)


def test_a_question_is_measured_or_taught_never_both() -> None:
    whole = SortedQuestions(many(200, "held"), many(100, "other"))
    taught, asked = whole.split()
    assert len(taught.held) + len(asked.held) == 200 and 20 <= len(asked.held) <= 60
    assert not {each.text for each in taught.held} & {each.text for each in asked.held}
    more = SortedQuestions([*many(200, "held"), *many(50, "new")], []).split()[1].held
    assert {each.text for each in asked.held} <= {each.text for each in more}


def test_questions_are_read_from_columns_and_from_conversations_once_each(tmp_path: Path) -> None:
    rows = [
        {"question": FRANCE.text, "answer": FRANCE.answer, "choices": ["Paris", "Rome"]},
        {"messages": [{"role": "user", "content": SPAIN.text}, {"role": "assistant", "content": SPAIN.answer}]},
        {"instruction": "what is the capital of france", "output": "Rome"},
    ]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_questions([str(tmp_path / "quiz.jsonl")]) == [FRANCE, SPAIN]
    (tmp_path / "bad.jsonl").write_text('{"question": "?", "answer": "x"}\n')
    with pytest.raises(DataError, match=r"bad.jsonl, row 1: no question with an answer"):
        read_questions([str(tmp_path / "bad.jsonl")])
