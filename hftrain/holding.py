"""Who makes an artifact and who reads it: two processes never make the same one, nor one that is being read.

Who makes it holds ``<out>.lock``. Who reads it holds its manifest by ``flock``, together with other readers; who is
to replace it needs the manifest alone. Nothing of the second lies on disk, and the kernel lets go of both with the
process. Where there is no ``flock`` (Windows, some network file systems) the first alone is kept.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hftrain.errors import ArtifactError
from hftrain.manifests import MANIFEST
from hftrain.runtime import is_main_process


@contextlib.contextmanager
def making(out: Path) -> Iterator[None]:
    """Hold the artifact's lock on rank 0.

    Raises:
        ArtifactError: Another process makes it now, or no folder can be where it should lie.
    """
    if not is_main_process():
        yield
        return
    from filelock import FileLock, Timeout

    _make_folder(out.parent)
    path = out.with_name(out.name + ".lock")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ArtifactError(
            f"{out}: process {_holder(path)} is making it now. Two may not make the same artifact. "
            "Wait until it is done, or use another run folder."
        ) from None
    try:
        with contextlib.suppress(OSError):  # full, or a system that locks what it holds
            path.write_text(str(os.getpid()))
        yield
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps what is open: the file stays, and is taken again
            path.unlink(missing_ok=True)  # while held: who waits then sees that it is gone, and makes its own
        lock.release()


@contextlib.contextmanager
def reading(inputs: Iterable[Path], replaced: Path) -> Iterator[None]:
    """Hold the inputs together with other readers, and what is to be replaced alone.

    Raises:
        ArtifactError: An input is being made anew, or what is to be replaced is being read.
    """
    with contextlib.ExitStack() as held:
        if is_main_process():
            for folder in inputs:
                held.enter_context(_flocked(folder, alone=False, why="is being made anew by another process"))
            held.enter_context(_flocked(replaced, alone=True, why="is being read by a stage of another process"))
        yield


@contextlib.contextmanager
def _flocked(folder: Path, *, alone: bool, why: str) -> Iterator[None]:
    try:
        import fcntl

        file = os.open(folder / MANIFEST, os.O_RDONLY)
    except (ImportError, OSError):  # nothing is there to hold
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArtifactError(
                    f"{folder}: {why}. What is read must not change meanwhile. Wait until it is done, or use another "
                    "run folder."
                ) from None
        yield
    finally:
        os.close(file)


def _holder(lock: Path) -> str:
    """The process that holds a lock: it writes its number there just after it took it."""
    for _ in range(40):
        with contextlib.suppress(OSError):
            if written := lock.read_text():
                return written
        time.sleep(0.025)
    return "unknown"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        if problem.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP):
            raise
        said = str(folder) if len(str(folder)) < 300 else f"{str(folder)[:300]}…"
        raise ArtifactError(
            f"{said}: no folder can be there: {problem.strerror}. A run needs one of its own. Name another by "
            "--run-dir."
        ) from None
