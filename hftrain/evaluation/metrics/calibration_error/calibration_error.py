"""Expected calibration error: how far a model's confidence is from its accuracy."""

import datasets
import evaluate

from hftrain.evaluation.measures import expected_calibration_error

DESCRIPTION = """Ten bins of equal width over the confidence.
Formula: sum over bins of n_b / N * |mean confidence - share correct|
Range: 0 to 1; lower is better
Source: Guo et al. 2017, arXiv:1706.04599"""

INPUTS = """Args:
    confidences: the probability that the model gave to its choice.
    correct: 1 where the choice was right, 0 where not.
Example:
>>> metric.compute(confidences=[0.75, 0.75], correct=[1, 0])
{'calibration_error': 0.25}"""


class CalibrationError(evaluate.Metric):
    """Expected calibration error: how far a model's confidence is from its accuracy."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"confidences": datasets.Value("float64"), "correct": datasets.Value("float64")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Guo et al. 2017, arXiv:1706.04599",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, confidences: list[float], correct: list[float]) -> dict[str, float]:
        return {"calibration_error": expected_calibration_error(confidences, correct)}
