import pytest

from hftrain.alignment.judges import Candidate, Contest
from hftrain.alignment.judges_rules import chrf, concise, reference, rule_judge


def said(text: str, *, ended: bool = True, references: tuple[str, ...] = ()) -> Candidate:
    return Candidate(text, ended, references)


def test_concise_gives_one_to_an_answer_of_the_target_length_that_ends_and_repeats_nothing() -> None:
    assert concise(said("a fresh answer of five"), target_words=5) == 1.0


def test_concise_gives_the_ratio_of_the_lengths_on_both_sides_of_the_target() -> None:
    assert concise(said("one two"), target_words=4) == 0.5
    assert concise(said("one two three four five six seven eight"), target_words=4) == 0.5


def test_concise_halves_an_answer_that_was_cut() -> None:
    assert concise(said("one two three four", ended=False), target_words=4) == 0.5


def test_concise_weighs_repeated_bigrams() -> None:
    # the-the, the-the, the-the: one distinct of three, in any case of letters
    assert concise(said("the The the THE"), target_words=4) == pytest.approx(1 / 3)


def test_concise_gives_nothing_to_an_empty_answer() -> None:
    assert concise(said("  \n"), target_words=4) == 0.0


def test_by_default_neither_silence_nor_one_word_nor_one_word_repeated_is_best() -> None:
    best = concise(said("A calm sea is my joy"))
    poor = [concise(said(text)) for text in ("", "Yes", " ".join(["yes"] * 6))]
    assert best == 1.0
    assert max(poor) <= 0.2


def test_chrf_of_worked_counts() -> None:
    # characters: precision 2/3, recall 2/2; bigrams ab, bc against ab: precision 1/2, recall 1/1
    precision, recall = (2 / 3 + 1 / 2) / 2, 1.0
    assert chrf("a bc", "ab", order=2) == pytest.approx(2 * precision * recall / (precision + recall))


def test_chrf_weighs_recall_by_the_square_of_beta() -> None:
    precision, recall = (2 / 3 + 1 / 2) / 2, 1.0
    expected = 10 * precision * recall / (9 * precision + recall)
    assert chrf("abc", "ab", order=2, beta=3) == pytest.approx(expected)


def test_chrf_counts_a_repeated_character_as_often_as_the_reference_has_it() -> None:
    assert chrf("aaaa", "a", order=1) == pytest.approx(2 * 0.25 * 1 / 1.25)


@pytest.mark.parametrize(("text", "expected"), [("same words", 1.0), ("", 0.0), ("xyz", 0.0)])
def test_chrf_is_one_for_the_same_text_and_nothing_without_a_common_character(text: str, expected: float) -> None:
    assert chrf(text, "same words") == expected


def test_reference_takes_the_best_reference_and_gives_nothing_without_one() -> None:
    assert reference(said("fine", references=("bad day", "fine"))) == 1.0
    assert reference(said("fine")) == 0.0


def test_scores_come_in_the_order_of_the_answers_and_take_the_options() -> None:
    contest = Contest([], (said("a"), said("a b"), said("a b c")))
    (verdict,) = rule_judge(concise, {"target_words": 2})([contest]).verdicts
    assert verdict.scores == (0.5, 1.0, 0.666667)
