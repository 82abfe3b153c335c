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
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import torch

log = logging.getLogger("hftrain")

SET_PARENT_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux's prctl(2)."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of mallopt(3)."""

# Each launcher's own name for the number of processes and for the rank, in the order in which accelerate looks.
WORLD_SIZE_NAMES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANK_NAMES = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


class Stopped(KeyboardInterrupt):
    """A signal ended the work in order: what was done is kept. The message says how to go on."""

    def __init__(self, message: str, signal_number: int) -> None:
        """Say what is kept, and which signal it was."""
        super().__init__(message)
        self.exit_code = 128 + signal_number


class StopRequest:
    """Within the block, the first SIGTERM or Ctrl-C is kept for who asks; the second does what it always does."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        self.signal_number: int | None = None
        self.at_rest: str | None = None
        """While all is saved: the message with which to stop at once. None: someone is at work, and will ask."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread may set them
            self._process = os.getpid()
            self._before = {number: signal.signal(number, self._receive) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker forked from it, told too by the terminal: the parent ends it
            return
        self._restore()
        self.signal_number = number
        if self.at_rest is not None:
            raise Stopped(self.at_rest, number)
        name = signal.Signals(number).name
        log.info("%s: the step is finished and saved first. A second signal ends at once.", name)


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


def seed_everything(seed: int, *, uses_torch: bool = True, scratch: Path | None = None) -> None:
    """Seed Python, NumPy and torch, and ask torch for its deterministic algorithms.

    On CUDA, cuBLAS needs its workspace fixed before the first call, hence the environment variable.
    Source: https://docs.pytorch.org/docs/stable/notes/randomness.html

    Args:
        seed: Below 2**32.
        uses_torch: Without, torch is not imported, which takes seconds.
        scratch: The work's own folder, where its number of threads is kept for a run that goes on.
    """
    import numpy

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    if not uses_torch:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    share_cores()
    if scratch is not None:
        keep_threads(scratch)
    keep_freed_memory()
    torch.manual_seed(seed)  # every CUDA device too
    torch.use_deterministic_algorithms(True, warn_only=False)
    # It is for code that reads what nobody wrote, and one more pass over memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def share_cores() -> None:
    """Give each process of this machine its share of the cores as torch's threads; a number of the user's stays.

    Torchrun sets ``OMP_NUM_THREADS=1`` itself where nobody did; what it was started with tells the two apart.
    """
    import torch

    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if local > 1 and not _threads_were_chosen():
        torch.set_num_threads(max(1, core_count() // local))


def keep_freed_memory() -> None:
    """Let the C library keep what is freed: each training step asks for the same large blocks again.

    Given back to the system, each page of them is fetched and zeroed anew, 30,000 a step of four million parameters.
    For glibc alone; elsewhere this does nothing. Source: mallopt(3).
    """
    if sys.platform != "linux" or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    import ctypes

    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def keep_threads(folder: Path) -> None:
    """Compute with as many threads as when ``folder`` was begun: sums are cut differently by another number.

    A run that was cut and goes on gives the same bytes only so. A process's rank has its own entry.
    """
    import torch

    path, now = folder / f"threads_{process_rank()}.txt", torch.get_num_threads()
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(str(now))
    elif (then := int(path.read_text() or now)) != now:
        torch.set_num_threads(then)
        log.info("threads: %d, as when this was begun, not %d: another number would give other bytes", then, now)


BYTES_PER_THREAD = 20_000_000
"""A thread is used for each so many bytes of weights where tokens are made one after another: with less to do, threads
mostly wait for each other."""


def threads_for(weight_bytes: int, most: int) -> int:
    """How many threads have work when a model of so many bytes makes tokens."""
    return min(most, 1 + weight_bytes // BYTES_PER_THREAD)


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads_were_chosen() -> bool:
    """Whether whoever started the launcher set the number of threads."""
    if os.environ.get("OMP_NUM_THREADS", "1") != "1":
        return True
    import psutil

    try:
        return "OMP_NUM_THREADS" in psutil.Process().parent().environ()
    except (psutil.Error, OSError, AttributeError):  # it ended, or the system does not tell
        return False


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
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
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
