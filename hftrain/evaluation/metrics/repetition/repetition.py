"""Repetition: how much of an answer stood in it before."""

import datasets
import evaluate

from hftrain.alignment.answer_habits import repeated_share

DESCRIPTION = """Words are what white space parts.
Formula: 1 - different n-grams / all n-grams, each answer's n-grams counted apart, n = 4
Range: 0 to 1; lower is better; 0 where no answer has n words
Source: Welleck et al. 2020, arXiv:1908.04319 (seq-rep-4)"""

INPUTS = """Args:
    predictions: the answers.
    length: n, 4 if not given.
Example:
>>> metric.compute(predictions=["so it is so it is"], length=2)  # of five pairs two stood before
{'repetition': 0.4}"""


class Repetition(evaluate.Metric):
    """Repetition: how much of an answer stood in it before."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("string")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Welleck et al. 2020, arXiv:1908.04319 (seq-rep-4)",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, predictions: list[str], length: int = 4) -> dict[str, float]:
        return {"repetition": round(repeated_share([text.split() for text in predictions], length), 12)}
