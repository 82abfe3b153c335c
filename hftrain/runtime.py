"""What a stage needs of the machine: processes, seeds, threads, progress. Imports torch only when used."""

import atexit
import contextlib
import logging
import os
import platform
import random
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

log = logging.getLogger("hftrain")

SET_PARENT_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux's prctl(2)."""

# Each launcher's own name for the number of processes and for the rank, in the order in which accelerate looks.
WORLD_SIZE_NAMES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANK_NAMES = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def process_count() -> int:
    """How many processes the launcher started for this job; 1 without a launcher."""
    return _launched(WORLD_SIZE_NAMES, 1)


def process_rank() -> int:
    """This process's place among them, from 0."""
    return _launched(RANK_NAMES, 0)


def is_main_process() -> bool:
    """Whether this process decides and writes for the job."""
    return process_rank() == 0


def join_processes() -> None:
    """Connect the job's processes to each other; does nothing when there is one."""
    if process_count() > 1:
        import torch.distributed
        from accelerate import PartialState

        if torch.distributed.is_initialized():
            return
        # Rank 0 may work alone for hours (curation) while the others wait at a barrier.
        PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(hours=24))
        atexit.register(_leave_processes)


def _leave_processes() -> None:
    """Part from the others in order: a process that ends with gloo's threads still running aborts now and then."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def end_with_parent() -> None:
    """Let the kernel end this process when its parent is killed. Linux alone can; elsewhere this does nothing."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended just before the call
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for_everyone() -> None:
    """Return once every process of the job got here."""
    if process_count() > 1:
        import torch.distributed

        join_processes()
        torch.distributed.barrier()


def from_main_process(value: Any) -> Any:
    """The value that rank 0 passed, on every rank; the others pass anything."""
    if process_count() == 1:
        return value
    import torch.distributed

    join_processes()
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let rank 0 run the block, then the others: it prepares on disk what they only open."""
    if not is_main_process():
        wait_for_everyone()
    yield
    if is_main_process():
        wait_for_everyone()


def seed_everything(seed: int, *, uses_torch: bool = True) -> None:
    """Seed Python, NumPy and torch, and ask torch for its deterministic algorithms.

    On CUDA, cuBLAS needs its workspace fixed before the first call, hence the environment variable.
    Source: https://docs.pytorch.org/docs/stable/notes/randomness.html

    Args:
        seed: Below 2**32.
        uses_torch: Without, torch is not imported, which takes seconds.
    """
    import numpy

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    if not uses_torch:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.manual_seed(seed)  # every CUDA device too
    torch.use_deterministic_algorithms(True, warn_only=False)


def device() -> "torch.device":
    """The device that a model of this process lives on."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def progress(iterable: Iterable[Any] | None = None, *, total: int | None = None, unit: str, description: str) -> Any:
    """A progress bar with rate and time left, on rank 0 and only where someone can see it."""
    from tqdm.auto import tqdm

    hidden = not is_main_process() or not sys.stderr.isatty()
    return tqdm(iterable, total=total, unit=unit, desc=description, disable=hidden, unit_scale=True, leave=False)


def host_shape() -> dict[str, Any]:
    """What kind of machine this is: cores, memory, system; no name of host or user."""
    return {
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "memory_gib": _memory_gib(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def forget_peak_memory() -> None:
    """Start measuring `peak_memory_bytes` anew; only Linux can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int | None:
    """The most memory that this process held since `forget_peak_memory`; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    kibibytes = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes[1]) * 1024 if kibibytes else None


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return None


def _launched(names: Iterable[str], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), otherwise)
