"""Numbers of a running server in the text that Prometheus reads.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hftrain.runtime import peak_memory_bytes

BUCKET_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

Labels = tuple[tuple[str, str], ...]


@dataclass
class Histogram:
    """How many observations fell at or under each bound, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKET_SECONDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect.bisect_left(BUCKET_SECONDS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counters, gauges that are asked when read, and histograms of seconds."""

    def __init__(self) -> None:
        self._help: dict[str, tuple[str, str]] = {}
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, Histogram]] = defaultdict(lambda: defaultdict(Histogram))
        self._gauges: dict[str, dict[Labels, Callable[[], float]]] = defaultdict(dict)

    def describe(self, name: str, kind: str, text: str) -> None:
        """Say what a metric is; ``kind`` as Prometheus names it."""
        self._help[name] = (kind, text)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counters[name][tuple(sorted(labels.items()))] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add to a histogram."""
        self._histograms[name][tuple(sorted(labels.items()))].add(seconds)

    def gauge(self, name: str, ask: Callable[[], float], **labels: str) -> None:
        """Ask this for the value whenever the metrics are read; what was asked for the same labels no longer is."""
        self._gauges[name][tuple(sorted(labels.items()))] = ask

    def text(self) -> str:
        """All of them."""
        lines: list[str] = []
        for name, (kind, said) in self._help.items():
            lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
            lines += [_line(name, labels, value) for labels, value in sorted(self._counters[name].items())]
            lines += [_line(name, labels, ask()) for labels, ask in self._gauges[name].items()]
            for labels, histogram in sorted(self._histograms[name].items()):
                lines += _histogram_lines(name, labels, histogram)
        return "\n".join(lines) + "\n"


def server_metrics() -> Metrics:
    """What a server counts."""
    metrics = Metrics()
    for name, kind, text in (
        ("hftrain_requests_total", "counter", "Requests by route and status."),
        ("hftrain_answers_total", "counter", "Answers by model and how they ended."),
        ("hftrain_prompt_tokens_total", "counter", "Tokens of prompts."),
        ("hftrain_answer_tokens_total", "counter", "Tokens of answers."),
        ("hftrain_first_token_seconds", "histogram", "From the request to the first token, waiting included."),
        ("hftrain_answer_seconds", "histogram", "From the request to the end of the answer, waiting included."),
        ("hftrain_running", "gauge", "Answers that are being made."),
        ("hftrain_waiting", "gauge", "Answers that wait for a place."),
        ("hftrain_feedback_total", "counter", "Feedback that was stored."),
        ("hftrain_interactions_dropped", "gauge", "Interactions that could not be stored."),
        ("hftrain_peak_memory_bytes", "gauge", "Most memory that the process held."),
    ):
        metrics.describe(name, kind, text)
    metrics.gauge("hftrain_peak_memory_bytes", lambda: float(peak_memory_bytes() or 0))
    return metrics


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels)
    shown = f"{{{inside}}}" if inside else ""
    return f"{name}{shown} {value:.10g}"


def _histogram_lines(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    below = 0
    for bound, count in zip((*BUCKET_SECONDS, None), histogram.counts, strict=True):
        below += count
        shown = "+Inf" if bound is None else f"{bound:g}"
        yield _line(f"{name}_bucket", (*labels, ("le", shown)), below)
    yield _line(f"{name}_sum", labels, histogram.total)
    yield _line(f"{name}_count", labels, below)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
