"""How the last attempt at a stage ended, told when it is begun again: most of all, when the kernel ended it for memory.

A process that is killed cannot say so itself. It leaves what it wrote when it began; an attempt that ends in order
(done, stopped, or with an error) says that it did. What lies there without such a word was cut off.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError
from hftrain.files import read_json, write_json
from hftrain.manifests import ATTEMPT, ENDED
from hftrain.runtime import is_main_process

MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/proc/vmstat")
MOST_SAID_CHARS = 2000
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def begin(partial: Path) -> None:
    """Leave a word that an attempt began; `in_order` takes it away again."""
    write_json(partial / ATTEMPT, {"memory_kills": memory_kills(), "boot": _boot()})


@contextlib.contextmanager
def in_order(partial: Path) -> Iterator[None]:
    """Within the block the attempt runs; whichever way it leaves the block, it ended in order."""
    try:
        yield
    except Exception as problem:
        if is_main_process():
            with contextlib.suppress(OSError):
                said = str(problem).strip().replace(str(partial.resolve().parent), "…")[:MOST_SAID_CHARS]
                write_json(partial / ENDED, {"error": type(problem).__name__, "said": said})
        raise
    finally:
        if is_main_process():
            with contextlib.suppress(OSError):  # of a disk that is gone nothing can be said
                (partial / ATTEMPT).unlink(missing_ok=True)


def last_end(partial: Path) -> str | None:
    """What is to be said of the attempt before this one; None if it ended in order, or there was none."""
    try:
        found: Any = read_json(partial / ATTEMPT)
    except ArtifactError:
        return None
    if not isinstance(found, dict):
        return None
    if found.get("boot") != _boot():
        return "the last attempt was cut off: the machine was started anew since"
    before, now = found.get("memory_kills"), memory_kills()
    if isinstance(before, int) and now is not None and now > before:
        return (
            "the last attempt was cut off, and since it began the kernel has ended "
            f"{now - before} process{'es' * (now - before > 1)} for want of memory: most likely this one. If it "
            "happens again, lower per_device_train_batch_size (and raise gradient_accumulation_steps as much, which "
            "trains the same), row_tokens or the model's size"
        )
    return "the last attempt was cut off, by a kill or a crash"


def memory_kills() -> int | None:
    """How many processes the kernel has ended for want of memory: in this container, or since the start."""
    for name in MEMORY_EVENTS:
        with contextlib.suppress(OSError):
            found = re.search(r"^oom_kill (\d+)$", Path(name).read_text(), re.MULTILINE)
            if found:
                return int(found[1])
    return None


def _boot() -> str | None:
    with contextlib.suppress(OSError):
        return Path(BOOT_ID).read_text().strip()
    return None
