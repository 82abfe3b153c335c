import pytest

from hftrain.alignment.judges import Contest, Judged, Verdict
from hftrain.alignment.judges_agreement import judge_agreement
from hftrain.alignment.preferences import RankedAnswer, RankedPrompt
from hftrain.alignment.reward import wilson_interval
from hftrain.errors import DataError


def people(question: str, *answers: tuple[str, int]) -> RankedPrompt:
    prompt = [{"role": "user", "content": question}]
    return RankedPrompt(prompt, tuple(RankedAnswer(text, True, None, rank) for text, rank in answers))


def by_length(contests: list[Contest]) -> Judged:
    """The longer the better; of the first contest, the first two could not be told apart."""
    scores = [tuple(float(len(each.text)) for each in contest.candidates) for contest in contests]
    return Judged([Verdict(each, frozenset({(0, 1)} if at == 0 else ())) for at, each in enumerate(scores)])


def test_agreement_counts_the_pairs_that_people_told_apart() -> None:
    rankings = [
        people("Q", ("aaa", 1), ("aa", 2), ("a", 2)),  # undecided, agreed; aa against a does not count
        people("q ", ("b", 1), ("bb", 2)),  # against people
        people("R", ("cc", 1), ("dd", 2)),  # tied
        people("S", ("ee", 1), ("f", 2)),  # agreed
    ]
    numbers, _ = judge_agreement(by_length, rankings)  # type: ignore[arg-type]
    assert numbers["judge_agreement"] == pytest.approx((0.5 + 1 + 0 + 0.5 + 1) / 5)
    assert (numbers["judge_agreement_pairs"], numbers["judge_agreement_prompts"]) == (5, 3)
    assert numbers["judge_agreement_interval"] == list(wilson_interval(0.6, 3))
    assert numbers["judge_agreement_decided_share"] == pytest.approx(3 / 5)


def test_rankings_that_are_all_ties_are_refused() -> None:
    with pytest.raises(DataError, match="1 rankings, and all answers tie"):
        judge_agreement(by_length, [people("Q", ("a", 1), ("b", 1))])  # type: ignore[arg-type]
