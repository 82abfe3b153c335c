"""The same function over many pieces, in several processes, with the results in the order of the pieces."""

import contextlib
import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from hftrain.errors import HftrainError
from hftrain.runtime import end_with_parent

Piece = TypeVar("Piece")
Result = TypeVar("Result")

AHEAD = 2
"""Pieces that wait for each worker: enough that none is idle, few enough that memory stays flat."""


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A context manager: some processes, or with one this process alone."""

    def __init__(self, processes: int, warm_up: Callable[[], None] | None = None) -> None:
        """Start them at once.

        Args:
            processes: How many; 1 starts none.
            warm_up: What each does while it waits for its first piece, such as loading what it will need.
        """
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            # Not by fork: torch and Arrow have threads, of which a fork keeps the locks alone.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(warm_up,))
            self._pool.submit(os.getpid)  # starts them all

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def in_order(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """Yield ``work(piece)`` for each piece, in their order, whatever the number of processes.

        Args:
            work: A function of a module, not of another function: workers import it.
            pieces: Read as they are needed.
        """
        if self._pool is None:
            yield from map(work, pieces)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for piece in pieces:
                waiting.append(self._pool.submit(work, piece))
                if len(waiting) > AHEAD * self._processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _begin(warm_up: Callable[[], Any] | None) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it ends its workers
    if warm_up:
        # A pool whose start fails cannot say why. What cannot be loaded now fails again with its first piece, and says.
        with contextlib.suppress(HftrainError, ImportError, OSError):
            warm_up()
        gc.freeze()  # what was loaded stays: the collector need not look through it again and again
