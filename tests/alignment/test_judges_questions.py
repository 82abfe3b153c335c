from collections.abc import Callable, Sequence

import pytest

from hftrain.alignment.judges import Candidate, Contest, Verdict
from hftrain.alignment.judges_questions import Asker, Reply, position_bias, questioning_judge
from hftrain.tokens.chat import Messages

PROMPT = [{"role": "user", "content": "Hi"}]


def contest(*texts: str, cut: int | None = None) -> Contest:
    return Contest(PROMPT, tuple(Candidate(text, place != cut) for place, text in enumerate(texts)))


def answers_in(question: str) -> tuple[str, str]:
    first, second = question.split("[Answer A]\n")[1].split("\n\n[Answer B]\n")
    return first, second.split("\n\nWhich answer")[0]


def asker(choose: Callable[[str, str], str | None]) -> Asker:
    """Replies A, B, both alike (tie) or nothing, by the two answers in the order shown."""

    def ask(questions: Sequence[Messages], labels: Sequence[str]) -> list[Reply]:
        chosen = [choose(*answers_in(question[0]["content"])) for question in questions]
        shares = {"A": {"A": 1.0, "B": 0.0}, "B": {"A": 0.0, "B": 1.0}, "tie": {"A": 0.5, "B": 0.5}}
        return [Reply(None if each is None else shares[each], each) for each in chosen]

    return ask


def longer(first: str, second: str) -> str:
    return "A" if len(first) > len(second) else "B"


def test_an_answer_scores_the_share_of_its_comparisons_that_it_won() -> None:
    judged = questioning_judge(asker(longer), "pairwise", "Longer is better.")([contest("aa", "a", "aaa")])
    assert judged.verdicts == [Verdict((0.5, 0.0, 1.0))]
    assert judged.numbers["judge_pairs"] == 3
    assert len(judged.asked) == 6
    assert "Longer is better." in judged.asked[0]["question"]


def test_a_judge_that_always_takes_the_first_decides_nothing_and_is_found_out() -> None:
    judged = questioning_judge(asker(lambda *_: "A"), "pairwise", "x")([contest("a", "b")])
    assert judged.verdicts == [Verdict((0.5, 0.5), frozenset({(0, 1)}))]
    assert judged.numbers["judge_flipped_share"] == judged.numbers["judge_first_position_share"] == 1.0


def test_a_pair_decided_against_the_shares_of_comparisons_won_is_undecided() -> None:
    # a beats b, c, d; b beats c, d; c beats d; but d beats a: a 2/3, b 2/3, c 1/3, d 1/3
    beats = {("a", "b"), ("a", "c"), ("d", "a"), ("b", "c"), ("b", "d"), ("c", "d")}
    judged = questioning_judge(asker(lambda one, two: "A" if (one, two) in beats else "B"), "pairwise", "x")(
        [contest("a", "b", "c", "d")]
    )
    (verdict,) = judged.verdicts
    assert verdict.scores == (0.666667, 0.666667, 0.333333, 0.333333)
    assert verdict.undecided == {(0, 1), (0, 3), (2, 3)}
    assert judged.numbers["judge_flipped_share"] == 0


def test_a_missing_verdict_in_one_order_is_a_tie_and_counted() -> None:
    judged = questioning_judge(asker(lambda one, _: "A" if one == "a" else None), "pairwise", "x")([contest("a", "b")])
    assert judged.verdicts[0].undecided == {(0, 1)}
    assert judged.numbers["judge_pairs_without_verdict"] == 1
    assert judged.numbers["judge_flipped_share"] is None


def test_an_answer_that_was_cut_is_not_asked_about_and_scores_nothing() -> None:
    judged = questioning_judge(asker(longer), "pairwise", "x")([contest("a", "aaa", "aa", cut=1), contest("alone")])
    assert judged.verdicts == [Verdict((0.0, 0.0, 1.0)), Verdict((0.0,))]
    assert len(judged.asked) == 2


def test_position_bias_of_worked_verdicts() -> None:
    # consistent, flipped to the first, tied once, no verdict
    found = position_bias([1.0, 1.0, 0.5, None], [0.0, 1.0, 1.0, 1.0])
    assert found["judge_flipped_share"] == found["judge_tied_share"] == pytest.approx(1 / 3)
    assert found["judge_first_position_share"] == pytest.approx(4.5 / 6)
    assert (found["judge_pairs"], found["judge_pairs_without_verdict"]) == (4, 1)


def test_a_grade_is_the_mean_of_the_labels_drawn_to_nought_to_one() -> None:
    def ask(questions: Sequence[Messages], labels: Sequence[str]) -> list[Reply]:
        assert list(labels) == ["1", "2", "3", "4", "5"]
        return [Reply({"1": 0.0, "2": 0.5, "3": 0.0, "4": 0.5, "5": 0.0}, "2 or 4"), Reply(None, "none")]

    judged = questioning_judge(ask, "grades", "x")([contest("a", "b", "cut", cut=2)])
    assert judged.verdicts == [Verdict((0.5, 0.0, 0.0), frozenset({(0, 1), (1, 2)}))]
    assert judged.numbers == {"judge_grades": 2, "judge_answers_without_grade": 1}
    assert judged.asked[1]["reply"] == "none"


def test_a_conversation_is_shown_with_its_roles() -> None:
    talk = [*PROMPT, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Well?"}]
    two = (Candidate("a", True), Candidate("bb", True))
    judged = questioning_judge(asker(longer), "pairwise", "x")([Contest(talk, two)])
    assert "[Request]\nuser: Hi\nassistant: Hello\nuser: Well?\n" in judged.asked[0]["question"]
