"""How fast one answer after the other comes from an exported model, and what memory that takes.

Each format is loaded in a process of its own, so that nothing of another is still in memory. The processes are forked
from one that has imported torch and transformers and done nothing with them: what they then grow by is the format's.
"""

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError
from hftrain.export.measurement import Sample
from hftrain.runtime import end_with_parent, forget_peak_memory, peak_memory_bytes, progress

IMPORTED_ONCE = ["hftrain.export.preloaded"]

WARM_UP_TOKENS = 4


@dataclass(frozen=True)
class Job:
    """What one process does."""

    name: str
    """The format."""
    folder: Path
    source: Path
    """The model that the format was made from."""
    ids: tuple[int, ...]
    """The prompt."""
    new_tokens: int
    threads: int


@dataclass(frozen=True)
class Stream:
    """One process that answers one prompt."""

    tokens_per_second: float
    """New tokens by the clock, the reading of the prompt among them."""
    tokens_per_processor_second: float
    """New tokens by the time that processors worked on them: the same on a busy machine, about."""
    peak_memory_bytes: int | None
    """The most memory that loading and answering took beyond that of a process with torch and transformers; None where
    the system does not tell."""


def measure_streams(folders: Mapping[str, Path], source: Path, sample: Sample) -> dict[str, float]:
    """Speed and memory of each format and of the full model, by names such as ``gguf-q8_0_tokens_per_second``.

    Args:
        folders: Format -> where it is.
        source: The full model.
        sample: Gives the prompt, and how many tokens to answer.
    """
    import torch

    found: dict[str, float] = {}
    prompt = min(sample.parity.ids, key=len)
    threads = torch.get_num_threads()
    with progress(total=1 + len(folders), unit="format", description="speed and memory") as bar:
        for name, folder in {"full": source, **folders}.items():
            job = Job("safetensors" if name == "full" else name, folder, source, prompt, sample.answer_tokens, threads)
            one = measure_stream(job)
            found[f"{name}_tokens_per_second"] = one.tokens_per_second
            if one.peak_memory_bytes is not None:
                found[f"{name}_peak_memory_bytes"] = one.peak_memory_bytes
            bar.update()
    return found


def measure_stream(job: Job) -> Stream:
    """Load a format in a process of its own and let it answer greedily, past end tokens.

    Raises:
        ArtifactError: The process ended without an answer.
    """
    # Not by fork: torch has threads, of which a fork keeps the locks alone.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(IMPORTED_ONCE)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, job))
    process.start()
    theirs.close()
    try:
        found: Stream = ours.recv()
    except EOFError:
        process.join()
        raise ArtifactError(
            f"export, {job.name}: the process that loads {job.folder} alone ended with code {process.exitcode}. An "
            f"answer is needed. Look at what it wrote above; where memory ran out, remove {job.name} from "
            "export.formats."
        ) from None
    process.join()
    return found


def _answer(to_parent: Connection, job: Job) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's Ctrl-C who asked decides
    import torch

    from hftrain.export.exporters import exporter_for

    torch.set_num_threads(job.threads)
    exporter = exporter_for(job.name)
    forget_peak_memory()
    before = peak_memory_bytes()
    answer = exporter.stream(job.folder, job.source)
    answer(job.ids, WARM_UP_TOKENS)
    began, worked = time.perf_counter(), time.process_time()
    made = answer(job.ids, job.new_tokens)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    after = peak_memory_bytes()
    added = after - before if after is not None and before is not None else None
    with contextlib.suppress(BrokenPipeError):  # who asked was killed meanwhile
        to_parent.send(Stream(len(made) / seconds, len(made) / max(worked, 1e-9), added))
