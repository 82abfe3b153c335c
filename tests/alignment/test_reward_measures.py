from typing import Any

import pytest
import torch
from datasets import Dataset

from hftrain.alignment.reward import PairScores, wilson_interval
from hftrain.alignment.reward_measures import correlation, diagnose, margin_histogram, prompts_needed, warning


def rows(*pairs: tuple[str, str, str]) -> Dataset:
    """(prompt, chosen, rejected) a row: a prompt of two tokens, a token a letter of the answer, an end of turn."""
    return Dataset.from_list(
        [
            {
                "prompt": prompt,
                "prompt_tokens": 2,
                "chosen_ids": [9, 9, *chosen.encode(), 3],
                "rejected_ids": [9, 9, *rejected.encode(), 3],
                "chosen_text": chosen,
                "rejected_text": rejected,
            }
            for prompt, chosen, rejected in pairs
        ]
    )


TRAIN = rows(("t", "good", "bad"), ("u", "good", "poor one"))
HELDOUT = rows(("a", "good", "bad"), ("a", "good", "bad word"), ("b", "no", "good"))
SCORES = PairScores(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 4.0]))


@pytest.fixture
def numbers() -> dict[str, Any]:
    return diagnose(TRAIN, HELDOUT, PairScores(torch.zeros(3), torch.zeros(3)), SCORES)


def test_the_model_stands_beside_chance_length_and_words(numbers: dict[str, Any]) -> None:
    assert (numbers["heldout_accuracy_before"], numbers["heldout_accuracy_after"]) == (0.5, 0.5)
    assert numbers["heldout_accuracy_interval"] == list(wilson_interval(0.5, 2))  # three pairs, two prompts
    # In training the longer won once and lost once; of the pairs held out it wins the first alone.
    assert numbers["length_baseline_accuracy"] == pytest.approx(1 / 3)
    assert numbers["bag_of_words_accuracy"] == pytest.approx(2 / 3)  # "good" won in training
    assert numbers["over_bag_of_words"] == pytest.approx(0.5 - 2 / 3)
    assert numbers["over_bag_of_words_interval"] == [-0.25, 0.0]  # -1/4 of the prompt a, 0 of b


def test_accuracy_is_told_apart_by_whether_the_longer_answer_wins(numbers: dict[str, Any]) -> None:
    assert (numbers["pairs_longer_wins"], numbers["accuracy_longer_wins"]) == (1, 1.0)
    assert (numbers["pairs_longer_loses"], numbers["accuracy_longer_loses"]) == (2, 0.25)
    assert numbers["longer_wins_share"] == pytest.approx(1 / 3)


def test_correlations_with_length_are_pearsons(numbers: dict[str, Any]) -> None:
    # lengths with the end of turn 5 5 3, 4 9 5; scores 2 1 0, 0 1 4; margins 2 0 -4 over differences 1 -4 -2
    assert numbers["score_length_correlation"] == pytest.approx(
        torch.corrcoef(torch.tensor([[2.0, 1, 0, 0, 1, 4], [5.0, 5, 3, 4, 9, 5]]))[0, 1].item()
    )
    assert numbers["margin_length_correlation"] == pytest.approx(
        torch.corrcoef(torch.tensor([[2.0, 0, -4], [1.0, -4, -2]]))[0, 1].item()
    )
    assert correlation(torch.ones(3), torch.arange(3)) is None


def test_too_few_pairs_are_said_to_be_too_few(numbers: dict[str, Any]) -> None:
    assert numbers["warning"].startswith("the held-out pairs do not tell this reward model from chance, length alone, ")
    assert f"would need {prompts_needed(0.5)} held-out prompts" in numbers["warning"]
    clear = {
        "heldout_accuracy_after": 0.9,
        "heldout_accuracy_interval": [0.85, 0.95],
        "over_length_baseline_interval": [0.1, 0.2],
        "over_bag_of_words_interval": [0.01, 0.05],
        "prompts_for_5_percent": 1,
    }
    assert warning(clear) is None
    assert "from a bag of words: " in str(warning(clear | {"over_bag_of_words_interval": [-0.01, 0.05]}))


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_prompts_needed_are_the_fewest_that_give_five_percent(share: float) -> None:
    needed = prompts_needed(share)
    widths = [(high - low) / 2 for low, high in (wilson_interval(share, count) for count in (needed - 1, needed))]
    assert widths[1] <= 0.05 < widths[0]
    assert prompts_needed(0.5) == 381


def test_the_histogram_counts_every_margin_over_common_edges() -> None:
    zeros = torch.zeros(3)
    before = PairScores(torch.tensor([0.1, -0.1, 0.1]), zeros)
    after = PairScores(torch.tensor([2.0, -2.0, 1.9]), zeros)
    found = margin_histogram(before, after, bins=4)
    assert found["edges"] == pytest.approx([-2, -1, 0, 1, 2])
    assert (found["before"], found["after"]) == ([0, 1, 2, 0], [1, 0, 0, 2])
