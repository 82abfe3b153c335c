"""Bits per byte: the mean code length of text under a model."""

import datasets
import evaluate

from hftrain.models.scoring import bits_per_byte

DESCRIPTION = """Comparable across vocabularies: special tokens count neither as cost nor as length.
Formula: sum of nats / (ln 2 * sum of bytes)
Range: 0 and up; lower is better; 8 is no compression
Source: Gao et al. 2020, arXiv:2101.00027"""

INPUTS = """Args:
    nats: -log p of each text, the sum over its tokens.
    bytes: UTF-8 bytes of each text.
Example:
>>> metric.compute(nats=[1.3862943611198906], bytes=[4])  # two tokens of ln 2 nats each, over four bytes
{'bits_per_byte': 0.5}"""


class BitsPerByte(evaluate.Metric):
    """Bits per byte: the mean code length of text under a model."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"nats": datasets.Value("float64"), "bytes": datasets.Value("int64")})
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Gao et al. 2020, arXiv:2101.00027",
            inputs_description=INPUTS,
            features=features,
        )

    def _compute(self, nats: list[float], bytes: list[int]) -> dict[str, float]:
        return {"bits_per_byte": bits_per_byte(sum(nats), sum(bytes))}
