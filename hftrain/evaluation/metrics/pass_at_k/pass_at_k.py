"""pass@k: the chance that one of k programs passes its tests."""

import datasets
import evaluate

from hftrain.evaluation.measures import pass_at_k

DESCRIPTION = """The mean over problems of the unbiased estimate.
Formula: 1 - C(n - c, k) / C(n, k) for n samples of which c pass
Range: 0 to 1; higher is better
Source: Chen et al. 2021, arXiv:2107.03374"""

INPUTS = """Args:
    samples: programs written for each problem.
    passed: how many of them pass.
    k: how many may be tried, 1 if not given.
Example:
>>> metric.compute(samples=[4], passed=[1], k=2)
{'pass_at_k': 0.5}"""


class PassAtK(evaluate.Metric):
    """pass@k: the chance that one of k programs passes its tests."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"samples": datasets.Value("int64"), "passed": datasets.Value("int64")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Chen et al. 2021, arXiv:2107.03374",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, samples: list[int], passed: list[int], k: int = 1) -> dict[str, float]:
        return {"pass_at_k": sum(pass_at_k(n, c, k) for n, c in zip(samples, passed, strict=True)) / len(samples)}
