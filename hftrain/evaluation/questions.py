"""The same questions to every model: what it expects of held-out text, and what its own answers are like."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from hftrain.alignment.answer_habits import distinct_share
from hftrain.alignment.reward import load_reward_model, score_conversations
from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
from hftrain.errors import DataError
from hftrain.evaluation.benchmarks import Asked
from hftrain.evaluation.measures import ratio_of_means
from hftrain.evaluation.scores import Measured, measured
from hftrain.evaluation.settings import HELDOUT
from hftrain.files import digest_folder, digest_value
from hftrain.manifests import NOT_CONTENT
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens, parameter_count
from hftrain.models.scoring import score_answers, score_texts
from hftrain.tokens.chat import Messages, load_tokenizer, prompt_of, that_fit

PARTS = 40
"""Held-out text is scored in so many parts of like size; between them the interval of the whole is estimated."""


@dataclass(frozen=True)
class Answered:
    """One model's numbers, its answers to the fixed prompts, and the values behind the numbers."""

    numbers: dict[str, float | None]
    samples: list[str]
    measured: list[Measured]


class Questions:
    """Held-out text and conversations, fixed prompts, and the reward model that judges answers."""

    def __init__(
        self,
        corpus: Path,
        reward: Path | None,
        *,
        heldout_bytes: int,
        heldout_conversations: int,
        new_tokens: int,
        prompts: Sequence[str],
    ) -> None:
        """Read what all models are asked; without a reward model no answer is given a reward."""
        self.texts = take_bytes(texts_of(corpus, "heldout"), heldout_bytes)
        self.texts_digest = digest_value(self.texts)
        self.talks = conversations_of(corpus, "heldout")
        self.talk_limit = heldout_conversations
        self.new_tokens = new_tokens
        self.prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
        self.judge = None if reward is None else (load_reward_model(reward), load_tokenizer(reward))
        self.judge_digest = "" if reward is None else digest_folder(reward, leave_out=NOT_CONTENT)

    def ask(self, asked: Asked) -> Answered:
        """Ask a model; its answers are the likeliest, so that nothing depends on chance.

        Raises:
            DataError: No held-out conversation fits the model's context.
        """
        model, tokenizer = asked.model, asked.tokenizer
        context = context_tokens(model) or 1024
        texts = [
            score_texts(model, tokenizer, part, row_tokens=context) for part in parts(self.texts, len)
        ]  # fmt: skip
        talks = that_fit(tokenizer, self.talks, max_tokens=context - self.new_tokens)[: self.talk_limit]
        if not talks:
            raise DataError(
                f"{asked.name}: no held-out conversation leaves room for {self.new_tokens} tokens in its context of "
                f"{context}. One is needed. Lower evaluate_model.new_tokens."
            )
        prompts = [prompt_of(talk) for talk in talks]
        answers = [
            made[0]
            for made in answer_prompts(
                model, tokenizer, [*prompts, *self.prompts], new_tokens=self.new_tokens, temperature=0, seed=0
            )
        ]
        own, samples = answers[: len(talks)], answers[len(talks) :]
        replies = [score_answers(model, tokenizer, part) for part in parts(talks, _talk_chars)]
        items, tokens = digest_value(talks), [float(len(answer.tokens)) for answer in own]
        found = [
            _ratio("bits_per_byte", [(each.nats / math.log(2), each.bytes) for each in texts], self.texts_digest),
            _ratio("answer_nats", [(each.nats, each.tokens) for each in replies], items),
            *self._reward(prompts, own),
            measured(HELDOUT, "ended_share", [float(answer.ended) for answer in own], items=items),
            measured(HELDOUT, "answer_tokens", tokens, better="neither", items=items),
        ]
        values = {made.measure: made.value for made in found}
        numbers = {
            "parameters": parameter_count(model),
            "reward": None,
            **values,
            "distinct_2": distinct_share([answer.text.split() for answer in own], 2),
            "distinct_answers_share": len({answer.text for answer in own}) / len(own),
        }
        return Answered(numbers=numbers, samples=[answer.text for answer in samples], measured=found)

    def _reward(self, prompts: Sequence[Messages], answers: Sequence[Answer]) -> list[Measured]:
        """The rewards of the answers that ended by themselves; nothing where none did.

        The reward is read at the end of a turn, and has seen no answer without one: of an unfinished answer it says
        nothing.
        """
        judged = [
            [*prompt, {"role": "assistant", "content": answer.text}]
            for prompt, answer in zip(prompts, answers, strict=True)
            if answer.ended
        ]
        if self.judge is None or not judged:
            return []
        scores = score_conversations(*self.judge, judged).double()
        ended = [prompt for prompt, answer in zip(prompts, answers, strict=True) if answer.ended]
        return [measured(HELDOUT, "reward", scores.tolist(), items=digest_value([self.judge_digest, ended]))]


def parts(items: Sequence[Any], size: Any, count: int = PARTS) -> list[list[Any]]:
    """The items in at most ``count`` parts: the largest first, each to the part that is smallest so far."""
    filled: list[list[Any]] = [[] for _ in range(min(count, len(items)))]
    sizes = [0] * len(filled)
    for place in sorted(range(len(items)), key=lambda place: (-size(items[place]), place)):
        smallest = sizes.index(min(sizes))
        filled[smallest].append(items[place])
        sizes[smallest] += size(items[place])
    return filled


def _talk_chars(talk: Messages) -> int:
    return sum(len(message["content"]) for message in talk)


def _ratio(measure: str, rows: Sequence[tuple[float, float]], items: str) -> Measured:
    return Measured(HELDOUT, measure, numpy.array(rows, float), "lower", of=ratio_of_means, items=items)
