"""Reward accuracy: how often the better answer of a pair has the higher score."""

import datasets
import evaluate

from hftrain.evaluation.measures import reward_accuracy

DESCRIPTION = """A tie counts half, so that a constant model scores 0.5.
Formula: (number of pairs with chosen > rejected + half the ties) / pairs
Range: 0 to 1; higher is better; a guess gives 0.5
Source: Stiennon et al. 2020, arXiv:2009.01325; the tie rule is ours"""

INPUTS = """Args:
    chosen: scores of the better answers.
    rejected: scores of the worse ones, in the same order.
Example:
>>> metric.compute(chosen=[2.0, 1.0, 0.0, 3.0], rejected=[1.0, 1.0, 1.0, 0.0])
{'reward_accuracy': 0.625}"""


class RewardAccuracy(evaluate.Metric):
    """Reward accuracy: how often the better answer of a pair has the higher score."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"chosen": datasets.Value("float64"), "rejected": datasets.Value("float64")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Stiennon et al. 2020, arXiv:2009.01325; the tie rule is ours",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, chosen: list[float], rejected: list[float]) -> dict[str, float]:
        return {"reward_accuracy": reward_accuracy(chosen, rejected)}
