"""What a new model and the promoted one are both asked, whether or not any file is named."""

from pathlib import Path
from typing import Any

from hftrain.alignment.feedback_folder import requests_in
from hftrain.corpus.splits import conversations_of
from hftrain.evaluation.benchmarks import Asked
from hftrain.evaluation.candidates import drawn_measures
from hftrain.evaluation.questions import Questions
from hftrain.evaluation.scores import Measured
from hftrain.tokens.chat import Messages, prompt_of

SHOWN = 8
"""Requests whose answers are kept to be read side by side."""


class Examination:
    """Held-out text and requests, and those that people gave feedback on."""

    def __init__(self, config: Any, corpus: Path, feedback: Path, reward: Path | None) -> None:
        """Read what both are asked, as an ``ExamineConfig`` says; without a reward model nothing is said of rewards."""
        self.config = config
        heldout = conversations_of(corpus, "heldout")[: config.heldout_conversations]
        asked = requests_in(feedback)[: config.feedback_requests]
        self.requests: list[Messages] = [
            *([{"role": "user", "content": text}] for text in asked),
            *(prompt_of(talk) for talk in heldout),
        ]
        self._questions = Questions(
            corpus,
            reward,
            heldout_bytes=config.heldout_bytes,
            heldout_conversations=config.heldout_conversations,
            new_tokens=config.new_tokens,
            prompts=(),
        )
        self.numbers: dict[str, dict[str, Any]] = {}
        self._drawn: dict[str, list[str]] = {}

    def ask(self, asked: Asked) -> list[Measured]:
        """All that is measured of one model."""
        config, answered = self.config, self._questions.ask(asked)
        found, made = drawn_measures(
            asked,
            self.requests,
            answers_per_prompt=config.answers_per_request,
            new_tokens=config.new_tokens,
            temperature=config.temperature,
            seed=config.seed or 0,
        )
        drawn = {f"drawn_{each.measure}": each.value for each in found}
        self.numbers[asked.name] = {**answered.numbers, **drawn}
        self._drawn[asked.name] = [answers[0].text for answers in made[:SHOWN]]
        return [*answered.measured, *found]

    def samples(self) -> dict[str, Any]:
        """The first answers of both, as ``samples.json`` has them."""
        return {"prompts": [request[-1]["content"] for request in self.requests[:SHOWN]], "answers": self._drawn}
