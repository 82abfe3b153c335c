"""Answers in the JSON of OpenAI's API, whole or in chunks.

Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hftrain.serving.api import Asked
from hftrain.serving.engine import Candidate, End, Report

ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
MARK = "\0here\0"


@dataclass(frozen=True)
class About:
    """What every answer and chunk says of itself."""

    name: str
    created: int
    model: str
    version: str
    """Tells apart what one model's name stands for at different times; OpenAI's ``system_fingerprint``."""

    def head(self, kind: str) -> dict[str, Any]:
        """Its first fields."""
        return {
            "id": self.name,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.version or None,
        }


def completion(asked: Asked, about: About, parts: Sequence["Part"]) -> dict[str, Any]:
    """A whole answer."""
    ends = [part.end for part in parts]
    return {
        **about.head("chat.completion" if asked.is_chat else "text_completion"),
        "choices": [_choice(asked, index, part) for index, part in enumerate(parts)],
        "usage": usage_of(ends),
    }


@dataclass(frozen=True)
class Part:
    """One of the answers to a request, whole."""

    text: str
    reports: tuple[Report, ...]
    end: End


class Chunks:
    """The chunks of a streamed answer, each as the line of an event stream."""

    def __init__(self, asked: Asked, about: About) -> None:
        """Begin a stream."""
        self._asked = asked
        self._head = about.head("chat.completion.chunk" if asked.is_chat else "text_completion")
        self._offsets = [0] * asked.choices
        self._around: dict[int, list[str]] = {}

    def first(self, index: int) -> str:
        """What says that an assistant speaks; text completions have no such chunk."""
        return event(self._chunk(index, {"role": "assistant", "content": ""}, None)) if self._asked.is_chat else ""

    def piece(self, index: int, text: str, reports: tuple[Report, ...]) -> str:
        """Some more text; only that is encoded anew where nothing else of the chunk changes."""
        if reports:
            made = event(self._chunk(index, {"content": text}, None, text=text, reports=reports))
        else:
            if index not in self._around:
                sample = event(self._chunk(index, {"content": MARK}, None, text=MARK))
                self._around[index] = sample.split(ENCODER.encode(MARK))
            made = ENCODER.encode(text).join(self._around[index])
        self._offsets[index] += len(text)
        return made

    def last(self, index: int, finish: str) -> str:
        """How an answer ended."""
        return event(self._chunk(index, {}, finish))

    def usage(self, ends: Sequence[End]) -> str:
        """What all answers took."""
        return event({**self._head, "choices": [], "usage": usage_of(ends)})

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        finish: str | None,
        *,
        text: str = "",
        reports: tuple[Report, ...] = (),
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "finish_reason": finish}
        if self._asked.is_chat:
            choice |= {"delta": delta, "logprobs": _chat_logprobs(reports) if reports else None}
        else:
            logprobs = _text_logprobs(reports, self._offsets[index]) if reports else None
            choice |= {"text": text, "logprobs": logprobs}
        made = {**self._head, "choices": [choice]}
        return made | {"usage": None} if self._asked.includes_usage else made


def event(chunk: dict[str, Any]) -> str:
    """A chunk as the line of an event stream."""
    return f"data: {ENCODER.encode(chunk)}\n\n"


def usage_of(ends: Sequence[End]) -> dict[str, int]:
    """Tokens of the prompt, counted once, and of all answers."""
    prompt, answers = max(end.prompt_tokens for end in ends), sum(end.answer_tokens for end in ends)
    return {"prompt_tokens": prompt, "completion_tokens": answers, "total_tokens": prompt + answers}


def _choice(asked: Asked, index: int, part: Part) -> dict[str, Any]:
    wanted = asked.question.top_logprobs is not None
    choice: dict[str, Any] = {"index": index, "finish_reason": part.end.finish}
    if asked.is_chat:
        message = {"role": "assistant", "content": part.text, "refusal": None}
        return choice | {"message": message, "logprobs": _chat_logprobs(part.reports) if wanted else None}
    return choice | {"text": part.text, "logprobs": _text_logprobs(part.reports, 0) if wanted else None}


def _chat_logprobs(reports: Sequence[Report]) -> dict[str, Any]:
    content = [{**_token(each.drawn), "top_logprobs": [_token(one) for one in each.top]} for each in reports]
    return {"content": content, "refusal": None}


def _token(candidate: Candidate) -> dict[str, Any]:
    return {"token": candidate.text, "logprob": candidate.logprob, "bytes": list(candidate.bytes)}


def _text_logprobs(reports: Sequence[Report], offset: int) -> dict[str, Any]:
    offsets = []
    for each in reports:
        offsets.append(offset)
        offset += len(each.drawn.text) if each.drawn.bytes else 0  # a special token adds no text
    return {
        "tokens": [each.drawn.text for each in reports],
        "token_logprobs": [each.drawn.logprob for each in reports],
        "top_logprobs": [{one.text: one.logprob for one in each.top} for each in reports],
        "text_offset": offsets,
    }
