"""The same function over many pieces, in several processes, with the results in the order of the pieces."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from hftrain.runtime import end_with_parent

Piece = TypeVar("Piece")
Result = TypeVar("Result")

AHEAD = 2
"""Pieces that wait for each worker: enough that none is idle, few enough that memory stays flat."""


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    *,
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
    processes: int,
) -> Iterator[Result]:
    """Yield ``work(piece)`` for each piece, in their order, whatever the number of processes.

    Args:
        work: A function of a module, not of another function: workers import it.
        pieces: Read as they are needed.
        prepare: Called with ``arguments`` once in each process before its first piece.
        arguments: What can be pickled.
        processes: With 1, everything happens in this process.
    """
    if processes == 1:
        prepare(*arguments)
        yield from map(work, pieces)
        return
    # Not by fork: torch and Arrow have threads, of which a fork keeps the locks alone.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(prepare, arguments)) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it ends its workers
    prepare(*arguments)
