"""From a runtime's threads to the loop: one call for all that came since the last one."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hftrain.serving.engine import Question

Given = TypeVar("Given")


class Inbox(Generic[Given]):
    """Hands what threads put in to those who take it, in the loop, in the order in which it came.

    Waking a loop costs as much as a small model's token; answers that are made together come with one call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand out in this loop."""
        self.loop = loop
        self._lock = threading.Lock()
        self._came: list[tuple[Callable[[Given], object], Given]] = []

    def put(self, take: Callable[[Given], object], given: Given) -> None:
        """Have the loop call ``take(given)`` soon. Any thread may call this."""
        with self._lock:
            self._came.append((take, given))
            is_first = len(self._came) == 1
        if is_first:
            self.loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        with self._lock:
            came, self._came = self._came, []
        for take, given in came:
            take(given)


async def all_waiting(waiting: "asyncio.Queue[Given]") -> list[Given]:
    """At least one, and all that wait beside it."""
    found = [await waiting.get()]
    while not waiting.empty():
        found.append(waiting.get_nowait())
    return found


def apart(came: list[Given], question: Question) -> list[list[Given]]:
    """What becomes one piece of an answer: all of it, or each step where steps are reported and a stop cuts between."""
    return [[each] for each in came] if question.top_logprobs is not None else [came] if came else []
