"""Whether as many processes run, and train together, as the launcher was asked for. Imports nothing heavy.

``accelerate launch`` on a CPU starts one process, whatever number it is given, unless its configuration's type is one
that it hands to torchrun, or an MPI launcher is at hand. It says nothing; each number measured afterwards is of
another training than the one asked for. Source: accelerate 1.15, ``commands/launch.py``, ``simple_launcher``.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from hftrain.errors import ConfigError
from hftrain.runtime import end_with_parent, process_count

# Accelerate sets it for what it starts, be it by itself, by torchrun, by MPI or by DeepSpeed.
ACCELERATE_MARK = "ACCELERATE_MIXED_PRECISION"


@dataclass(frozen=True)
class Request:
    """How many processes ``accelerate launch`` was asked for, and where that is written."""

    processes: int
    written: str


def check_launch() -> None:
    """Refuse to start when fewer processes run than ``accelerate launch`` was asked for.

    Raises:
        ConfigError: Fewer run; with the commands that start as many.
    """
    running = process_count()
    request = requested_processes()
    if request is None or running >= request.processes:
        return
    script = shlex.join(_own_command())
    count = request.processes
    raise ConfigError(
        f"accelerate launch: {running} process{'' if running == 1 else 'es'} started, but {request.written} asks for "
        f"{count}. It starts one alone on a CPU and wherever neither its flags nor its file name a distributed type. "
        f"Start the {count} with\n"
        f"    torchrun --nproc_per_node {count} {script}\n"
        "or, where an MPI launcher is installed (pip install mpich), with\n"
        f"    echo localhost > hostfile && accelerate launch --cpu --num_processes {count} --num_machines 1 "
        f"--mpirun_hostfile hostfile {script}\n"
        "or ask accelerate for 1."
    )


def end_with_launcher() -> None:
    """Let this process end when the launcher that started it is killed; does nothing without one.

    torchrun starts its workers in sessions of their own. Were it killed alone, they would train on unseen, and hold
    the artifact's lock against whoever gives the same command again.
    """
    if process_count() > 1:
        end_with_parent()


def check_joined(training_together: int) -> None:
    """Refuse a training in which processes that were started together would each train alone.

    Args:
        training_together: What the trainer's own arguments count (``TrainingArguments.world_size``).

    Raises:
        ConfigError: It is fewer than the launcher started.
    """
    started = process_count()
    if training_together >= started:
        return
    raise ConfigError(
        f"launch: {started} processes started, but only {training_together} would train together: the same model "
        "several times over. On GPUs, MPI alone does not join them; on a CPU, `use_cpu` must hold. Start them with\n"
        f"    torchrun --nproc_per_node {started} {shlex.join(_own_command())}"
    )


def requested_processes() -> Request | None:
    """What the nearest ``accelerate launch`` above this process was asked for.

    None when there is none (a plain start, torchrun, MPI alone, a notebook), or when it was given no number.
    """
    if ACCELERATE_MARK not in os.environ:
        return None
    import psutil

    # On another machine of an MPI job there is no accelerate above; the first machine's processes refuse for all.
    for process in psutil.Process().parents():
        try:
            options = launcher_options(process.cmdline(), sys.orig_argv)
            if options is not None:
                return request_in(options, Path(process.cwd()))
        except psutil.Error:  # it ended, or belongs to someone else
            continue
    return None


def launcher_options(command: Sequence[str], started: Sequence[str]) -> list[str] | None:
    """Accelerate's own words in ``command``, without those of the script it starts; None if it is another program.

    Args:
        command: A process's command line.
        started: The command line of the script that it started; both end in the same words.
    """
    begin = _after_launch(command)
    if begin is None:
        return None
    pairs = zip(reversed(command), reversed(started), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return list(command[begin : max(begin, len(command) - shared)])


def request_in(options: Sequence[str], folder: Path) -> Request | None:
    """The request in accelerate's own words, read as accelerate reads them: the flag, else the file, else nothing.

    Args:
        options: Its words.
        folder: Where it was started; a relative file is looked for there.
    """
    number = _value(options, "--num_processes")
    if number is not None:
        return Request(int(number), f"--num_processes {number}")
    given = _value(options, "--config_file")
    if given is not None:
        return _request_in_file(folder / given)
    return None if "--cpu" in options else _request_in_file(_default_file())


def _request_in_file(path: Path) -> Request | None:
    import yaml

    if not path.is_file():
        return None
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))  # YAML reads accelerate's JSON files too
    number = loaded.get("num_processes") if isinstance(loaded, dict) else None
    return Request(number, f"{path} (num_processes: {number})") if isinstance(number, int) else None


def _default_file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", os.path.join(cache, "huggingface"))
    return Path(home).expanduser() / "accelerate" / "default_config.yaml"


def _after_launch(command: Sequence[str]) -> int | None:
    """Where accelerate's own words begin; None if this is not its launch command, in any of its four spellings."""
    for index, word in enumerate(command):
        name = word.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".exe")
        if name in ("accelerate-launch", "accelerate.commands.launch"):
            return index + 1
        if name in ("accelerate", "accelerate.commands.accelerate_cli") and "launch" in command[index + 1 : index + 2]:
            return index + 2
    return None


def _value(options: Sequence[str], name: str) -> str | None:
    """The last value given to an option, as ``--name value`` or ``--name=value``, with - or _ in its name."""
    found = None
    for word, following in zip(options, [*options, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        if key.replace("-", "_") == name.replace("-", "_"):
            found = value if equals else following
    return found


def _own_command() -> list[str]:
    """This process's script and its words, as a launcher takes them."""
    return sys.orig_argv[1:]
