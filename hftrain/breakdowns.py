"""Failures of the machine, in words: a disk that is full or gone, memory that is not there, a process that ended.

Libraries tell them in their own ways: as an ``OSError``, or as another exception whose text holds the system's. Here
each becomes a message for the person who can mend it. What is none of them stays an exception, and shows its traceback.
"""

import errno
import re
from collections.abc import Iterator, Mapping

GOES_ON = "Then give the same command again: it goes on."
ROOM = f"The disk is full, or the quota is. Room is needed. Remove what you can spare. {GOES_ON}"
ACCESS = f"It may not be written. A place that can be is needed. Give access, or name another. {GOES_ON}"
LOST = f"The disk, or the way to it, failed. One that answers is needed. Connect it again. {GOES_ON}"
GONE = f"It was removed or moved while it was needed. Put it back. {GOES_ON}"
NO_PLACE = "No file or folder can be there. Another path is needed. Name one."
FILES = f"Too many files are open. A higher limit is needed. Raise it, as by ulimit -n 65536. {GOES_ON}"
MEMORY = (
    "The memory does not suffice. A smaller step is needed. Lower per_device_train_batch_size (and raise "
    "gradient_accumulation_steps as much, which trains the same), row_tokens or the model's size, or take a machine "
    f"with more. {GOES_ON}"
)
PARTNER = f"Another process of the same launch ended; what it said stands above. Mend that. {GOES_ON}"
BUSY = f"Another process writes to the database. It has to end first. Stop it. {GOES_ON}"

DAMAGED = (
    "A file of a checkpoint is not what was written. Delete the unfinished folder (its name ends in .partial), then "
    "run again."
)

SAID: Mapping[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), ACCESS),
    **dict.fromkeys((errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN), LOST),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), FILES),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP), NO_PLACE),
    errno.ENOENT: GONE,
    errno.ENOMEM: MEMORY,
}
"""Number of the system's error -> what to say of it."""

# How libraries that raise no OSError say the same. Sources: safetensors 0.8 and Rust's std::io, torch 2.13's
# inline_container.cc and its allocators, gloo's transports, SQLite's result codes.
NUMBER = re.compile(r"\(os error (\d+)\)|\[[Ee]rrno (\d+)\]")
TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[Nn]o space left on device|database or disk is full|[Dd]isk quota exceeded"), ROOM),
    (re.compile(r"PytorchStreamWriter failed|unexpected pos \d+ vs \d+"), ROOM),
    (re.compile(r"attempt to write a readonly database|[Rr]ead-only file system"), ACCESS),
    (re.compile(r"disk I/O error|unable to open database file"), LOST),
    (re.compile(r"database is locked"), BUSY),
    (
        re.compile(r"can't allocate memory|not enough memory: you tried|out of memory|std::bad_alloc|Cannot allocate"),
        MEMORY,
    ),
    (re.compile(r"gloo.*(Connection (closed|reset) by peer|Timed out waiting)", re.DOTALL), PARTNER),
    (re.compile(r"DataLoader worker .* is killed by signal"), MEMORY),
)


def explained(problem: BaseException) -> str | None:
    """What failed and what to do about it, as an error's message; None where it is not the machine's failure."""
    return next((told for each in _with_causes(problem) if (told := _told(each))), None)


def _told(problem: BaseException) -> str | None:
    if isinstance(problem, OSError) and problem.errno is not None and problem.errno in SAID:
        place = problem.filename2 or problem.filename or "disk"
        return f"{_written(place)}: {problem.strerror or errno.errorcode[problem.errno]}. {SAID[problem.errno]}"
    if isinstance(problem, MemoryError):
        return f"memory: {_first_line(problem) or 'no more is to be had'}. {MEMORY}"
    if type(problem).__name__ == "UnpicklingError":  # of torch.load, which reads weights only
        return f"checkpoint: {_first_line(problem)}. {DAMAGED}"
    if not isinstance(problem, OSError | RuntimeError) and type(problem).__name__ not in (
        "SafetensorError",
        "OperationalError",
        "ArrowInvalid",
    ):
        return None
    text = str(problem)
    number = next((int(one or other) for one, other in NUMBER.findall(text)), None)
    said = SAID.get(number or 0) or next((said for pattern, said in TEXTS if pattern.search(text)), None)
    return f"{_first_line(problem)} ({type(problem).__name__}). {said}" if said else None


def _with_causes(problem: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from; not what was being handled by chance when it came."""
    seen: set[int] = set()
    each: BaseException | None = problem
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().partition("\n")[0][:300].rstrip(".")


def _written(place: object) -> str:
    text = place.decode(errors="replace") if isinstance(place, bytes) else str(place)
    return text if len(text) <= 300 else f"{text[:300]}…"
