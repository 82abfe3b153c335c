from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment.feedback import REASONS, sort_feedback
from hftrain.alignment.feedback_folder import old_count, requests_in, set_aside, write_feedback
from hftrain.alignment.feedback_mixing import mixed_preferences
from hftrain.alignment.feedback_settings import FeedbackRules
from hftrain.artifacts import read_json, read_jsonl
from hftrain.corpus.storage import read_rows
from hftrain.errors import DataError

DAY = 86_400.0


def about(text: str, asked: str = "Who are you?", **more: Any) -> dict[str, Any]:
    """An answer as a row of feedback holds it."""
    talk = [{"role": "user", "content": asked}]
    given = {"id": text, "choice": 0, "kind": "chat", "model": "policy", "asked": talk, "text": text, "outcome": "stop"}
    return given | more


def said(name: str, answer: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row of feedback."""
    row = {"id": name, "created": 100 * DAY, "person": "ann", "thumb": None, "correction": "", "preferred": None}
    return row | {"answer": answer, "other": None} | more


def reasons(*rows: dict[str, Any], **rules: Any) -> dict[str, str]:
    """Id -> why the row is dropped."""
    return {each["id"]: each["reason"] for each in sort_feedback(rows, FeedbackRules(**rules)).dropped}


def test_thumbs_corrections_and_comparisons_are_told_apart() -> None:
    rows = [
        said("a", about("I am Ann."), thumb=1, correction="I am Bob."),
        said("b", about("Nobody."), thumb=-1),
        said("c", about("One."), preferred="other", other=about("Two.")),
    ]
    found = sort_feedback(rows, FeedbackRules())
    assert [(each.better, each.worse) for each in found.corrections] == [("I am Bob.", "I am Ann.")]
    assert sorted((each.better, each.liked) for each in found.thumbs) == [("I am Ann.", True), ("Nobody.", False)]
    assert [(each.better, each.worse) for each in found.comparisons] == [("Two.", "One.")]
    assert (found.said, found.people, found.dropped) == (4, 1, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (said("a", about("Hi.")), "comment_only"),
        (said("a", about("Hi.", kind="text"), thumb=1), "no_conversation"),
        (said("a", about(" "), thumb=1), "no_text"),
        (said("a", about("Hi.", asked=" "), thumb=1), "no_text"),
        (said("a", about("Hi.", outcome="length"), thumb=-1), "unfinished"),
        (said("a", about("Hi."), preferred="both", other=about("Ho.")), "no_preference"),
        (said("a", about("Hi."), preferred="this", other=about("Hi.")), "same_answers"),
        (said("a", about("Hi."), correction="Hi. "), "same_answers"),
        (said("a", about("Write to <EMAIL>."), thumb=1), "personal_data"),
        (said("a", about("Hi."), correction="Write to ann.miller@gmail.com."), "personal_data"),
        (said("a", about("Hi.", model="gpt"), thumb=1), "other_model"),
    ],
)
def test_what_teaches_nothing_is_dropped_under_its_reason(row: dict[str, Any], reason: str) -> None:
    assert reasons(row, models=("policy",)) == {"a": reason}
    assert reason in REASONS


def test_a_correction_counts_whichever_model_was_corrected_and_however_it_ended() -> None:
    row = said("a", about("Hi.", model="gpt", outcome="length"), correction="Good day.")
    assert reasons(row, models=("policy",)) == {}


def test_age_is_counted_back_from_the_newest_row() -> None:
    rows = [said("old", about("One."), thumb=1, created=9 * DAY), said("new", about("Two."), thumb=1)]
    assert reasons(*rows) == {"old": "too_old"}  # 91 days before
    assert reasons(*rows, max_age_days=None) == {}


def test_what_is_said_last_counts_and_a_thumb_can_be_taken_back() -> None:
    answer = about("Hi.")
    first, last = said("a", answer, thumb=1), said("b", answer, thumb=-1, created=101 * DAY)
    [voice] = sort_feedback([first, last], FeedbackRules()).thumbs
    assert not voice.liked
    assert reasons(first, last) == {"a": "replaced"}
    assert reasons(first, said("b", answer, thumb=0, created=101 * DAY)) == {"a": "replaced", "b": "taken_back"}


def test_the_majority_decides_and_a_tie_teaches_nothing() -> None:
    def votes(*thumbs: int) -> dict[str, str]:
        return reasons(*(said(f"{n}", about("Hi.", id=f"i{n}"), thumb=t, person=f"p{n}") for n, t in enumerate(thumbs)))

    assert votes(1, 1, -1) == {"1": "duplicate", "2": "outvoted"}
    assert votes(1, -1) == {"0": "contradicting", "1": "contradicting"}


def test_one_person_counts_once_for_one_answer_and_is_capped() -> None:
    same = [said(f"{n}", about("Hi.", id=f"i{n}"), thumb=1) for n in range(3)]
    rival = said("x", about("Hi.", id="ix"), thumb=-1, person="bob")
    assert sorted(reasons(*same, rival).values()) == ["contradicting"] * 2 + ["duplicate"] * 2
    many = [said(f"{n}", about(f"Answer {n}."), thumb=1) for n in range(5)]
    assert list(reasons(*many, most_per_person=2).values()) == ["over_the_cap"] * 3
    nameless = [{**row, "person": None} for row in many]
    assert list(reasons(*nameless, most_per_person=2).values()) == ["over_the_cap"] * 3


def test_the_order_in_which_rows_come_changes_nothing(tmp_path: Path) -> None:
    rows = [said(f"{n}", about(f"Answer {n}.", asked=f"Question {n}?"), thumb=1 - 2 * (n % 2)) for n in range(12)]
    for name, given in (("one", rows), ("two", rows[::-1])):
        write_feedback(sort_feedback(given, FeedbackRules()), [], tmp_path / name)
    one, two = (read_rows(tmp_path / name / "thumbs" / "train").to_list() for name in ("one", "two"))
    assert one == two
    assert {row["label"] for row in one} == {True, False}


def test_the_folder_says_how_many_of_what_and_why_others_were_dropped(tmp_path: Path) -> None:
    rows = [
        said("a", about("I am Ann.", asked="Name?"), thumb=1),
        said("b", about("No.", asked="Books?"), correction="Yes."),
        said("c", about("")),
    ]
    write_feedback(sort_feedback(rows, FeedbackRules()), [], tmp_path)
    summary = read_json(tmp_path / "summary.json")
    assert (summary["said"], summary["corrections"], summary["thumbs_up"]) == (3, 1, 1)
    assert summary["dropped"] == {"comment_only": 1}
    assert read_jsonl(tmp_path / "dropped.jsonl") == [{"id": "c", "kind": "comment", "reason": "comment_only"}]
    assert sorted(requests_in(tmp_path)) == ["Books?", "Name?"]
    [talk] = read_rows(tmp_path / "corrections")["messages"]
    assert [each["content"] for each in talk] == ["Books?", "Yes."]


def test_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing is left of 1 things said; dropped: \{'comment_only': 1\}"):
        write_feedback(sort_feedback([said("a", about("Hi."))], FeedbackRules()), [], tmp_path)


def test_both_sides_of_the_split_have_a_request_where_there_are_two() -> None:
    def rows(count: int) -> list[dict[str, Any]]:
        return [{"prompt": [{"role": "user", "content": f"Question {n}?"}]} for n in range(count)]

    assert [len(part) for part in set_aside(rows(1))] == [1, 0]
    assert all(len(part) >= 1 for part in set_aside(rows(2)))
    train, heldout = set_aside([*rows(30), *rows(30)])
    asked = [{row["prompt"][0]["content"] for row in part} for part in (train, heldout)]
    assert len(train) + len(heldout) == 60
    assert not asked[0] & asked[1]


def test_a_share_of_the_rows_is_old() -> None:
    assert old_count(30, 0.25, 1000) == 10  # 10 of 40
    assert old_count(30, 0.5, 12) == 12  # all there are
    assert old_count(30, 0.0, 12) == 0


def test_old_pairs_stand_beside_new_ones(tmp_path: Path) -> None:
    new = [said(f"{n}", about(f"A{n}.", asked=f"Q{n}?"), preferred="this", other=about(f"B{n}.")) for n in range(30)]
    old = [said(f"{n}", about(f"C{n}.", asked=f"O{n}?"), preferred="this", other=about(f"D{n}.")) for n in range(90)]
    for name, rows in (("new", new), ("old", old)):
        write_feedback(sort_feedback(rows, FeedbackRules(most_per_person=None)), [], tmp_path / name)
    mixed_preferences(tmp_path / "new", tmp_path / "old" / "comparisons", tmp_path / "both", old_share=0.5, seed=1)
    mixed_preferences(tmp_path / "new", None, tmp_path / "alone", old_share=0.5, seed=1)
    counts, alone = read_json(tmp_path / "both" / "summary.json"), read_json(tmp_path / "alone" / "summary.json")
    assert counts["pairs_train"] == 2 * counts["pairs_train_old"] == 2 * alone["pairs_train"]
    assert alone["pairs_train_old"] == 0
