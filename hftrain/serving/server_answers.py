"""From a request that is in order to its answers: a place in the queue, the stop texts, what it took."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from hftrain.serving.api import Asked
from hftrain.serving.api_answers import Part
from hftrain.serving.engine import Answer, End, Engine, Piece, Prepared, Refused, Report, UntilStop

LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 1, 60


class Places:
    """How many answers are made at once, and how many requests wait for a place, in the order they came."""

    def __init__(self, at_once: int, queue: int) -> None:
        self.queue, self.running, self.waiting = queue, 0, 0
        self.at_once = at_once
        self._free = asyncio.Semaphore(at_once)
        self._usual_seconds = 1.0

    def running_now(self) -> float:
        """Answers that are being made."""
        return float(self.running)

    def waiting_now(self) -> float:
        """Answers that wait."""
        return float(self.waiting)

    def check(self, answers: int) -> None:
        """Make sure that so many more may wait.

        Raises:
            Refused: They may not.
        """
        if self.waiting + answers > self.queue + max(0, self.at_once - self.running):
            ahead = self._usual_seconds * (self.waiting / self.at_once + 1)
            seconds = round(min(MOST_RETRY_SECONDS, max(LEAST_RETRY_SECONDS, ahead)))
            raise Refused(
                f"{self.running} answers are being made and {self.waiting} requests wait, and no more than "
                f"{self.queue} may. Try again in {seconds} seconds.",
                status=429,
                kind="requests",
                code="rate_limit_exceeded",
                retry_seconds=seconds,
            )

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
            self._usual_seconds += 0.1 * (time.monotonic() - began - self._usual_seconds)


@dataclass(frozen=True)
class Served:
    """A model by the name that it is asked for."""

    name: str
    engine: Engine
    places: Places
    source: str
    """Where it comes from, for people."""
    version: str = ""
    """Digest of the model where it is an artifact: tells apart what one name stood for before and after a promotion."""


@dataclass
class Tally:
    """What a request has come to so far."""

    began: float = field(default_factory=time.monotonic)
    first_token_seconds: float | None = None
    texts: dict[int, str] = field(default_factory=dict)
    reports: dict[int, list[Report]] = field(default_factory=dict)
    ends: dict[int, End] = field(default_factory=dict)
    tokens: int = 0
    """Of the pieces."""

    def add(self, index: int, piece: Piece | End) -> None:
        """Count one more piece of one of the answers."""
        if isinstance(piece, End):
            self.ends[index] = piece
            return
        if self.first_token_seconds is None:
            self.first_token_seconds = self.seconds
        self.tokens += piece.tokens
        self.texts[index] = self.texts.get(index, "") + piece.text
        if piece.reports:
            self.reports.setdefault(index, []).extend(piece.reports)

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.monotonic() - self.began

    def parts(self) -> list[Part]:
        """All answers, which must have ended."""
        return [
            Part(self.texts.get(index, ""), tuple(self.reports.get(index, ())), self.ends[index])
            for index in sorted(self.ends)
        ]


Pieces = AsyncGenerator[tuple[int, Piece | End], None]


async def answers(served: Served, asked: Asked, prepared: Prepared) -> Pieces:
    """The pieces of all answers to a request, each with which answer it belongs to, as they are made."""
    if asked.choices == 1:
        async with aclosing(_one(served, prepared)) as pieces:
            async for piece in pieces:
                yield 0, piece
        return
    made: asyncio.Queue[tuple[int, Piece | End] | BaseException] = asyncio.Queue()

    async def collect(index: int) -> None:
        try:
            async with aclosing(_one(served, _with_seed(prepared, index))) as pieces:
                async for piece in pieces:
                    made.put_nowait((index, piece))
        except Refused as problem:
            made.put_nowait(problem)

    tasks = [asyncio.create_task(collect(index)) for index in range(asked.choices)]
    try:
        left = asked.choices
        while left:
            got = await made.get()
            if isinstance(got, BaseException):
                raise got
            left -= isinstance(got[1], End)
            yield got
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(served: Served, prepared: Prepared) -> Answer:
    """One answer, up to its first stop text."""
    until = UntilStop(prepared.question.stop)
    count = 0
    async with served.places.place(), aclosing(served.engine.answer(prepared)) as pieces:
        async for piece in pieces:
            if isinstance(piece, End):
                if _says_something(rest := until.rest()):
                    yield rest
                yield piece
                return
            count += piece.tokens
            if _says_something(released := until.add(piece)):
                yield released
            if until.stopped:
                yield End("stop", len(prepared.ids), count)
                return


def _says_something(piece: Piece) -> bool:
    return bool(piece.text or piece.reports)


def _with_seed(prepared: Prepared, index: int) -> Prepared:
    """Each of several answers to one seeded question has its own seed, the first one that of the question."""
    question = prepared.question
    if question.seed is None or index == 0:
        return prepared
    return replace(prepared, question=replace(question, seed=question.seed + index))
