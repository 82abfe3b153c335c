"""Distinct-n: how varied answers are."""

import datasets
import evaluate

from hftrain.alignment.answer_habits import distinct_share

DESCRIPTION = """Words are what white space parts.
It falls as more is said, whoever says it: compare like amounts of text.
Formula: different n-grams / all n-grams, over all answers together
Range: 0 to 1; higher is more varied; 0 where there is no n-gram
Source: Li et al. 2016, arXiv:1510.03055"""

INPUTS = """Args:
    predictions: the answers.
    length: n, 2 if not given.
Example:
>>> metric.compute(predictions=["a b a b"])  # ab, ba, ab: two different of three
{'distinct_n': 0.6666666666666666}"""


class DistinctN(evaluate.Metric):
    """Distinct-n: how varied answers are."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("string")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Li et al. 2016, arXiv:1510.03055",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, predictions: list[str], length: int = 2) -> dict[str, float]:
        return {"distinct_n": distinct_share([text.split() for text in predictions], length)}
