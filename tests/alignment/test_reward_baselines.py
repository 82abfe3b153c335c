import pytest
import torch

from hftrain.alignment.reward_baselines import bag_of_words_margins, hits, length_margins, paired_interval


def test_length_decides_by_the_rule_that_was_right_in_training() -> None:
    shorter_won = ([1, 2, 9], [5, 6, 3])
    assert length_margins(([4, 7, 2], [6, 3, 2]), shorter_won).tolist() == [2.0, -4.0, 0.0]
    longer_won = ([5, 6, 3], [1, 2, 9])
    assert length_margins(([4, 7, 2], [6, 3, 2]), longer_won).tolist() == [-2.0, 4.0, 0.0]


def test_words_decide_by_what_they_did_in_training() -> None:
    train = (["please come in", "please sit", "thank you"], ["come in", "sit, fool", "you"])
    margins = bag_of_words_margins((["please go", "go"], ["go", "go, fool"]), train)
    assert (margins > 0).all()


def test_answers_of_the_same_words_tie_whatever_their_order() -> None:
    margins = bag_of_words_margins((["a b", "new"], ["b a", "words"]), (["a x", "b"], ["c", "d x"]))
    assert margins.tolist() == [0.0, 0.0]


def test_without_words_all_pairs_tie() -> None:
    assert bag_of_words_margins((["a"], ["b"]), ([" ", ""], ["\n", ""])).tolist() == [0.0]


def test_a_tie_is_half_a_hit() -> None:
    assert hits(torch.tensor([2.0, -1.0, 0.0])).tolist() == [1.0, 0.0, 0.5]


def test_a_difference_that_is_the_same_everywhere_has_no_spread() -> None:
    assert paired_interval(torch.ones(6), list("aabbcc")) == (1.0, 1.0)


def test_pairs_that_share_a_prompt_count_as_one_draw() -> None:
    differences = torch.tensor([1.0] * 20 + [-1.0] * 20)
    alone = paired_interval(differences, [str(place) for place in range(40)])
    assert alone == pytest.approx((-0.3, 0.3), abs=0.06)  # 1.96 * 1 / sqrt(40)
    assert paired_interval(differences, ["a"] * 20 + ["b"] * 20) == (-1.0, 1.0)
    assert paired_interval(differences, [str(place) for place in range(40)]) == alone
