"""An answer on its way to a client: whole or streamed, ended when the client goes, counted and kept."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from hftrain.serving.api import Asked
from hftrain.serving.api_answers import About, Chunks, completion, event
from hftrain.serving.engine import End, Piece, Refused
from hftrain.serving.guarding import error_body, refused
from hftrain.serving.interactions import Interaction, InteractionStore
from hftrain.serving.server_answers import Pieces, Served, Tally
from hftrain.serving.server_metrics import Metrics

STALLED_SECONDS = 60.0
"""A client that takes nothing for so long has gone: its place is another's."""

SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


class Job:
    """One request from its first token to the log."""

    def __init__(
        self, served: Served, asked: Asked, person: str | None, metrics: Metrics, store: InteractionStore | None
    ) -> None:
        """Begin to count."""
        self.served, self.asked, self.person = served, asked, person
        self.name = f"{'chatcmpl' if asked.is_chat else 'cmpl'}-{uuid.uuid4().hex}"
        self.created = time.time()
        self.tally = Tally()
        self._metrics, self._store = metrics, store

    @property
    def about(self) -> About:
        """What its answers say of themselves."""
        return About(self.name, int(self.created), self.served.name, self.served.version)

    async def watched(self, pieces: Pieces) -> Pieces:
        """The same pieces; when they end, in whatever way, the request is counted and kept."""
        outcome = "failed"
        try:
            async with aclosing(pieces):
                async for index, piece in pieces:
                    self.tally.add(index, piece)
                    yield index, piece
            outcome = self.tally.ends[0].finish
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "cancelled"
            raise
        finally:
            self._record(outcome)

    def _record(self, outcome: str) -> None:
        tally, model = self.tally, self.served.name
        ends = list(tally.ends.values())
        prompt_tokens = max((end.prompt_tokens for end in ends), default=0)
        answer_tokens = sum(end.answer_tokens for end in ends) if ends else tally.tokens
        self._metrics.count("hftrain_answers_total", model=model, outcome=outcome)
        self._metrics.count("hftrain_prompt_tokens_total", prompt_tokens, model=model)
        self._metrics.count("hftrain_answer_tokens_total", answer_tokens, model=model)
        self._metrics.observe("hftrain_answer_seconds", tally.seconds, model=model)
        if tally.first_token_seconds is not None:
            self._metrics.observe("hftrain_first_token_seconds", tally.first_token_seconds, model=model)
        if self._store is None or not self.asked.may_be_kept:
            return
        question = self.asked.question
        texts = [tally.texts.get(index, "") for index in range(self.asked.choices)]
        prompt = question.prompt if isinstance(question.prompt, str) else json.dumps(question.prompt)
        self._store.keep(
            Interaction(
                id=self.name,
                created=self.created,
                person=self.person,
                model=model,
                runtime=self.served.engine.runtime,
                kind="chat" if self.asked.is_chat else "text",
                asked=question.messages or [{"role": "text", "content": prompt}],
                answers=texts,
                settings={
                    "temperature": question.temperature,
                    "top_p": question.top_p,
                    "seed": question.seed,
                    "new_tokens": question.new_tokens,
                    **({"version": self.served.version} if self.served.version else {}),
                },
                outcome=outcome,
                prompt_tokens=prompt_tokens,
                answer_tokens=answer_tokens,
                first_token_seconds=tally.first_token_seconds,
                seconds=tally.seconds,
            )
        )


class WholeAnswer:
    """An answer sent when it is whole."""

    def __init__(self, job: Job, pieces: Pieces) -> None:
        """Keep what is to be sent."""
        self._job, self._pieces = job, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it and send it."""
        job = self._job

        async def run() -> None:
            try:
                async with aclosing(self._pieces) as pieces:
                    async for _ in pieces:
                        pass
            except Refused as problem:
                await refusal(problem)(scope, receive, send)
                return
            await JSONResponse(completion(job.asked, job.about, job.tally.parts()))(scope, receive, send)

        await while_connected(receive, run())


class EventStream:
    """An answer sent as it is made, as server-sent events."""

    def __init__(self, job: Job, pieces: Pieces) -> None:
        """Keep what is to be sent."""
        self._job, self._pieces = job, pieces
        self._chunks = Chunks(job.asked, job.about)
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the first token, so that what cannot begin has its own status; then send."""
        await while_connected(receive, self._run(scope, receive, send), self._is_stalled)

    def _is_stalled(self) -> bool:
        return self._sending_since is not None and time.monotonic() - self._sending_since > STALLED_SECONDS

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            try:
                first = await anext(pieces)
            except Refused as problem:
                await refusal(problem)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
            opening = "".join(self._chunks.first(index) for index in range(self._job.asked.choices))
            await self._send(send, opening + self._line(*first))
            try:
                async for index, piece in pieces:
                    await self._send(send, self._line(index, piece))
            except Refused as problem:
                await self._send(send, event(error_body(problem.message, problem.code, kind=problem.kind)))
            else:
                if self._job.asked.includes_usage:
                    await self._send(send, self._chunks.usage(list(self._job.tally.ends.values())))
            await self._send(send, "data: [DONE]\n\n", more=False)

    def _line(self, index: int, piece: Piece | End) -> str:
        if isinstance(piece, End):
            return self._chunks.last(index, piece.finish)
        return self._chunks.piece(index, piece.text, piece.reports)

    async def _send(self, send: Send, lines: str, *, more: bool = True) -> None:
        self._sending_since = time.monotonic()
        await send({"type": "http.response.body", "body": lines.encode(), "more_body": more})
        self._sending_since = None


def _never() -> bool:
    return False


async def while_connected(
    receive: Receive, work: Coroutine[Any, Any, None], is_stalled: Callable[[], bool] = _never
) -> None:
    """Do the work as long as the client is there; when it goes, or takes nothing any more, the work is cancelled."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_leaves(receive))
    both = (working, leaving)
    try:
        while not is_stalled():
            done, _ = await asyncio.wait(both, timeout=STALLED_SECONDS / 4, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    if not working.cancelled():
        working.result()


def refusal(problem: Refused) -> JSONResponse:
    """A refused request's answer, in OpenAI's form."""
    headers = {} if problem.retry_seconds is None else {"Retry-After": str(problem.retry_seconds)}
    return refused(
        problem.status,
        problem.message,
        problem.code,
        kind=problem.kind,
        parameter=problem.parameter,
        headers=headers,
    )


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
