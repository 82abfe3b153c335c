"""Answers from any server that speaks OpenAI's API: the same page, log and limits before a larger machine."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from hftrain.errors import ConfigError
from hftrain.serving.engine import Answer, Candidate, End, Piece, Prepared, Question, Refused, Report

AT_ONCE = 256
"""Requests that are open at the same time: how many it answers at once is the other server's to say."""

CONNECT_SECONDS, SILENT_SECONDS = 5.0, 120.0


class UpstreamEngine:
    """One model of another server."""

    runtime = "upstream"
    context_tokens: int | None = None
    at_once = AT_ONCE

    def __init__(self, url: str, model: str, key: str | None, *, transport: httpx2.AsyncBaseTransport | None = None):
        """Keep where it is.

        Args:
            url: Up to and with ``/v1``.
            model: Its name there.
            key: What it asks for; None for nothing.
            transport: What carries requests; for tests.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS, pool=None)
        self._client = httpx2.AsyncClient(
            base_url=url.rstrip("/") + "/",
            headers=headers,
            timeout=timeout,
            limits=httpx2.Limits(max_connections=AT_ONCE),
            transport=transport,
            trust_env=False,  # a proxy from the environment must not see the key
        )
        self.model = model

    def prepare(self, question: Question) -> Prepared:
        """Everything is handed on; the other server says what does not fit."""
        return Prepared(question)

    async def answer(self, prepared: Prepared) -> Answer:
        """As `Engine.answer`."""
        question = prepared.question
        is_chat = question.prompt is None
        path = "chat/completions" if is_chat else "completions"
        pieces, finish, usage = 0, "stop", None
        try:
            async with self._client.stream("POST", path, json=_request(self.model, question)) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, await response.aread())
                async for chunk in _chunks(response.aiter_lines()):
                    if "error" in chunk:
                        raise _refusal(502, json.dumps(chunk).encode())
                    usage = chunk.get("usage") or usage
                    for choice in chunk.get("choices", ()):
                        finish = choice.get("finish_reason") or finish
                        said = (choice.get("delta", {}).get("content") if is_chat else choice.get("text")) or ""
                        text = said.encode("utf-8", "replace").decode()  # half of a surrogate pair can be in JSON
                        reports = _reports(choice.get("logprobs"))
                        if text or reports:
                            pieces += 1
                            yield Piece(text, reports)
        except httpx2.HTTPError as problem:
            said = f"The server behind this one did not answer ({type(problem).__name__}). Try again later."
            raise Refused(said, status=502, kind="server_error", code="upstream_failed") from problem
        counted = usage or {}
        yield End(
            "length" if finish == "length" else "stop",
            int(counted.get("prompt_tokens", 0)),
            int(counted.get("completion_tokens", pieces)),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def models_of(url: str, key: str | None, *, transport: httpx2.BaseTransport | None = None) -> list[str]:
    """The names of the models that a server offers.

    Raises:
        ConfigError: It does not say.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx2.Client(headers=headers, timeout=CONNECT_SECONDS, transport=transport, trust_env=False) as client:
            response = client.get(url.rstrip("/") + "/models")
            response.raise_for_status()
            names = [str(model["id"]) for model in response.json()["data"]]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as problem:
        raise ConfigError(
            f"--upstream {url}: does not list its models ({problem}). The address up to /v1 of a server that speaks "
            "OpenAI's API is needed. Correct it, or name the model with --upstream-model."
        ) from None
    if not names:
        raise ConfigError(f"--upstream {url}: lists no model. Name one with --upstream-model.")
    return names


def _request(model: str, question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": question.temperature,
        "top_p": question.top_p,
    }
    given = {"max_tokens": question.new_tokens, "seed": question.seed, "stop": list(question.stop) or None}
    request |= {name: value for name, value in given.items() if value is not None}
    if question.prompt is None:
        request["messages"] = [dict(message) for message in question.messages]
        if question.top_logprobs is not None:
            request |= {"logprobs": True, "top_logprobs": question.top_logprobs}
    else:
        request["prompt"] = question.prompt if isinstance(question.prompt, str) else list(question.prompt)
        if question.top_logprobs is not None:
            request["logprobs"] = question.top_logprobs
    return request


async def _chunks(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each event of a stream."""
    async for line in lines:
        kind, _, data = line.partition(":")
        if kind == "data" and data.strip() and data.strip() != "[DONE]":
            try:
                yield json.loads(data)
            except ValueError:
                said = "The server behind this one sent what is no JSON."
                raise Refused(said, status=502, kind="server_error", code="upstream_failed") from None


def _refusal(status: int, body: bytes) -> Refused:
    """What the other server said, as far as it is in OpenAI's form; a wrong key is this server's own mistake."""
    try:
        error = json.loads(body)["error"]
        said: Mapping[str, Any] = error if isinstance(error, dict) else {"message": error}
    except (ValueError, KeyError, TypeError):
        said = {}
    message = str(said.get("message") or f"The server behind this one answered with status {status}.")
    if status in (401, 403) or status >= 500:
        return Refused(f"Upstream: {message}", status=502, kind="server_error", code="upstream_failed")
    code, parameter = said.get("code"), said.get("param")
    return Refused(
        message,
        status=status,
        code=None if code is None else str(code),
        kind=str(said.get("type") or "invalid_request_error"),
        parameter=None if parameter is None else str(parameter),
        retry_seconds=1 if status == 429 else None,
    )


def _reports(logprobs: dict[str, Any] | None) -> tuple[Report, ...]:
    """The steps in the form of chat completions, or in that of text completions, whichever the server sends."""
    if not logprobs:
        return ()
    if "content" in logprobs:
        said = logprobs["content"] or ()
        return tuple(
            Report(_candidate(each), tuple(_candidate(one) for one in each.get("top_logprobs") or ())) for each in said
        )
    tops = logprobs.get("top_logprobs") or [{}] * len(logprobs.get("tokens", ()))
    steps = zip(logprobs.get("tokens", ()), logprobs.get("token_logprobs", ()), tops, strict=True)
    return tuple(
        Report(_plain(token, logprob), tuple(_plain(*pair) for pair in sorted((top or {}).items(), key=_likeliest)))
        for token, logprob, top in steps
    )


def _likeliest(pair: tuple[str, float]) -> float:
    return -pair[1]


def _candidate(said: dict[str, Any]) -> Candidate:
    text = said["token"]
    return Candidate(text, tuple(said.get("bytes") or text.encode()), float(said["logprob"]))


def _plain(text: str, logprob: float | None) -> Candidate:
    return Candidate(text, tuple(text.encode()), float(logprob or 0.0))
