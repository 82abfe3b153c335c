"""Answer loss: a model's mean surprise at a token of the right answers."""

import datasets
import evaluate

from hftrain.evaluation.measures import nats_per_token

DESCRIPTION = """Only tokens of assistants' turns count, their ends of turn included.
Comparable between models of one tokenizer.
Formula: sum of nats / sum of tokens
Range: 0 and up, in nats; lower is better; ln V is a guess among V tokens
Source: the cross-entropy of supervised fine-tuning"""

INPUTS = """Args:
    nats: -log p of each answer, the sum over its tokens.
    tokens: tokens of each answer.
Example:
>>> metric.compute(nats=[6.0, 2.0], tokens=[3, 1])
{'answer_loss': 2.0}"""


class AnswerLoss(evaluate.Metric):
    """Answer loss: a model's mean surprise at a token of the right answers."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"nats": datasets.Value("float64"), "tokens": datasets.Value("int64")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="the cross-entropy of supervised fine-tuning",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, nats: list[float], tokens: list[int]) -> dict[str, float]:
        return {"answer_loss": nats_per_token(nats, tokens)}
