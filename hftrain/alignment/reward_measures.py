"""The numbers of a reward model on held-out pairs: accuracy, calibration, what length and words alone would reach."""

import math
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from hftrain.alignment.calibration import best_temperature, nats_per_pair, reliability
from hftrain.alignment.reward import PairScores, reward_accuracy, reward_margin, wilson_interval
from hftrain.alignment.reward_baselines import bag_of_words_margins, hits, length_margins, paired_interval

WANTED_HALF_WIDTH = 0.05


def diagnose(train: Dataset, heldout: Dataset, before: PairScores, after: PairScores) -> dict[str, Any]:
    """The summary's numbers.

    Args:
        train: The encoded training pairs, from which the baselines learn.
        heldout: The encoded held-out pairs.
        before: Their scores by the untrained head.
        after: Their scores by the trained model.
    """
    numbers = _accuracy(heldout, before, after) | _calibration(after) | _length_bias(heldout, after)
    numbers |= _baselines(train, heldout, after)
    return numbers | {"warning": warning(numbers)}


def warning(numbers: dict[str, Any]) -> str | None:
    """What the held-out pairs are too few to tell, and how many prompts could; None where they tell it all."""
    low, high = numbers["heldout_accuracy_interval"]
    unclear = ["chance"] if low <= 0.5 <= high else []
    for name, words in (("length_baseline", "length alone"), ("bag_of_words", "a bag of words")):
        below, above = numbers[f"over_{name}_interval"]
        if below <= 0 <= above:
            unclear.append(words)
    if not unclear:
        return None
    return (
        f"the held-out pairs do not tell this reward model from {', '.join(unclear)}: accuracy "
        f"{100 * numbers['heldout_accuracy_after']:.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f} %; "
        f"±5 % would need {numbers['prompts_for_5_percent']} held-out prompts"
    )


def prompts_needed(share: float, half_width: float = WANTED_HALF_WIDTH) -> int:
    """The fewest trials for which Wilson's interval around this share is no wider than twice ``half_width``."""
    low, high = 1, 2
    while _half_width(share, high) > half_width:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _half_width(share, middle) <= half_width else (middle + 1, high)
    return low


def margin_histogram(before: PairScores, after: PairScores, bins: int = 30) -> dict[str, Any]:
    """Counts of margins before and after training over the same bins; ``edges`` has one more than each list."""
    before_B = (before.chosen_B - before.rejected_B).double()
    after_B = (after.chosen_B - after.rejected_B).double()
    reach = max(before_B.abs().max().item(), after_B.abs().max().item(), 1e-6)
    edges = torch.linspace(-reach, reach, bins + 1, dtype=torch.float64)

    def counts(margins_B: Tensor) -> list[int]:
        return torch.bincount(torch.bucketize(margins_B, edges[1:-1]), minlength=bins).tolist()

    return {"edges": edges.tolist(), "before": counts(before_B), "after": counts(after_B)}


def reliability_bins(after: PairScores) -> dict[str, Any]:
    """The reliability diagram's bins, for ``calibration.json``."""
    found = reliability(after.chosen_B - after.rejected_B)
    return {
        "edges": list(found.edges),
        "pairs": list(found.pairs),
        "confidence": list(found.confidence),
        "accuracy": list(found.accuracy),
    }


def correlation(one_N: Tensor, other_N: Tensor) -> float | None:
    """Pearson's correlation; None where either does not vary."""
    one_N, other_N = one_N.double() - one_N.double().mean(), other_N.double() - other_N.double().mean()
    size = one_N.norm() * other_N.norm()
    return (one_N @ other_N / size).item() if size > 0 else None


def _accuracy(heldout: Dataset, before: PairScores, after: PairScores) -> dict[str, Any]:
    scores_N = torch.cat([after.chosen_B, after.rejected_B]).double()
    accuracy = reward_accuracy(after.chosen_B, after.rejected_B)
    prompts = len(set(heldout["prompt"]))
    return {
        "heldout_accuracy_before": reward_accuracy(before.chosen_B, before.rejected_B),
        "heldout_accuracy_after": accuracy,
        "heldout_accuracy_interval": list(wilson_interval(accuracy, prompts)),
        "prompts_for_5_percent": prompts_needed(accuracy),
        "heldout_margin_before": reward_margin(before.chosen_B, before.rejected_B),
        "heldout_margin_after": reward_margin(after.chosen_B, after.rejected_B),
        "heldout_score_mean": scores_N.mean().item(),
        "heldout_score_deviation": scores_N.std(correction=0).item(),
    }


def _calibration(after: PairScores) -> dict[str, Any]:
    margins_B = after.chosen_B - after.rejected_B
    temperature = best_temperature(margins_B)
    return {
        "calibration_error": reliability(margins_B).error,
        "calibration_temperature": temperature,
        "heldout_nats_per_pair": nats_per_pair(margins_B),
        "heldout_nats_per_pair_at_temperature": nats_per_pair(margins_B, temperature),
    }


def _length_bias(heldout: Dataset, after: PairScores) -> dict[str, Any]:
    """Accuracy where the longer answer wins and where it loses, and how scores go with lengths in tokens."""
    chosen_B, rejected_B = (torch.tensor(each) for each in _lengths(heldout))
    right_B = hits(after.chosen_B - after.rejected_B)
    sides = {"wins": chosen_B > rejected_B, "loses": chosen_B < rejected_B}
    by_side = {
        f"accuracy_longer_{side}": right_B[inside].mean().item() if inside.any() else None
        for side, inside in sides.items()
    }
    return by_side | {
        "pairs_longer_wins": int(sides["wins"].sum()),
        "pairs_longer_loses": int(sides["loses"].sum()),
        "longer_wins_share": hits((chosen_B - rejected_B).double()).mean().item(),
        "score_length_correlation": correlation(
            torch.cat([after.chosen_B, after.rejected_B]), torch.cat([chosen_B, rejected_B])
        ),
        "margin_length_correlation": correlation(after.chosen_B - after.rejected_B, chosen_B - rejected_B),
    }


def _baselines(train: Dataset, heldout: Dataset, after: PairScores) -> dict[str, Any]:
    """What length alone and a bag of words reach, and how far the model is above each on the same pairs."""
    texts, learned = ((list(rows["chosen_text"]), list(rows["rejected_text"])) for rows in (heldout, train))
    right_B = hits(after.chosen_B - after.rejected_B)
    found = {
        "length_baseline": hits(length_margins(_lengths(heldout), _lengths(train))),
        "bag_of_words": hits(bag_of_words_margins(texts, learned)),
    }
    numbers: dict[str, Any] = {}
    for name, theirs_B in found.items():
        numbers[f"{name}_accuracy"] = theirs_B.mean().item()
        numbers[f"over_{name}"] = (right_B - theirs_B).mean().item()
        numbers[f"over_{name}_interval"] = list(paired_interval(right_B - theirs_B, list(heldout["prompt"])))
    return numbers


def _lengths(rows: Dataset) -> tuple[list[int], list[int]]:
    """Tokens of the chosen and of the rejected answers, without their prompts."""
    chosen, rejected = (
        [len(ids) - prompt for ids, prompt in zip(rows[f"{side}_ids"], rows["prompt_tokens"], strict=True)]
        for side in ("chosen", "rejected")
    )
    return chosen, rejected


def _half_width(share: float, trials: int) -> float:
    low, high = wilson_interval(share, trials)
    return math.fsum((high, -low)) / 2
