"""Stages and the folders they make: skip, resume, lock, publish by rename, manifest last.

A stage says in one line what it reads and what it makes::

    @stage(makes="base", reads=("corpus", "tokenizer"))
    def pretrain(config, *, corpus, tokenizer, out): ...

Its body writes into ``<out>.partial``; once it returns, the folder gets its manifest and takes the place of
``out`` by a rename. Killed at any moment, it leaves the earlier artifact whole and goes on when asked again.
"""

import contextvars
import dataclasses
import functools
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hftrain import attempts, energy, runtime, sources
from hftrain.config import StageConfig, derive_seed, resolved
from hftrain.errors import ArtifactError, ConfigError
from hftrain.files import (
    describe_files,
    digest_file,
    digest_folder,
    digest_of_files,
    digest_value,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from hftrain.holding import making, reading
from hftrain.manifests import (
    FORMAT,
    MANIFEST,
    MEASURED,
    NOT_CONTENT,
    REQUEST,
    SCRATCH,
    headline,
    read_finished,
    read_manifest,
    record_measured,
    without_absolute,
)
from hftrain.runtime import log

__all__ = [
    "MANIFEST",
    "SCRATCH",
    "after_publishing",
    "digest_file",
    "digest_folder",
    "forced",
    "read_finished",
    "read_json",
    "read_jsonl",
    "read_manifest",
    "record_measured",
    "stage",
    "write_json",
    "write_jsonl",
]

forced: contextvars.ContextVar[bool] = contextvars.ContextVar("forced", default=False)
"""Whether stages run again although nothing changed (``--force``)."""

after_publishing: contextvars.ContextVar[Callable[[Path], None] | None] = contextvars.ContextVar(
    "after_publishing", default=None
)
"""Who is told of each artifact that a stage has just made: a flow's page grows with it."""

Body = Callable[..., None]
Stage = Callable[..., Path]


@dataclasses.dataclass(frozen=True)
class Order:
    """One call of a stage: what is asked for and where it goes."""

    name: str
    kind: str
    config: StageConfig
    inputs: Mapping[str, Path]
    out: Path

    @property
    def partial(self) -> Path:
        """Where the artifact grows until it is whole."""
        return self.out.with_name(self.out.name + ".partial")

    @property
    def replaced(self) -> Path:
        """Where the earlier artifact waits for the instant between two renames."""
        return self.out.with_name(self.out.name + ".replaced")


def stage(
    *,
    makes: str,
    reads: Sequence[str] = (),
    optional: Sequence[str] = (),
    every_process: bool = False,
    uses_torch: bool = True,
) -> Callable[[Body], Stage]:
    """Turn a body that fills a folder into a stage that skips, resumes, locks and publishes.

    Args:
        makes: Kind of the artifact. Another stage that reads this kind accepts no other.
        reads: Kinds of the inputs; each is a keyword argument of the body, a folder.
        optional: Those of them that may be missing; the body is given None then.
        every_process: Whether all processes of a launch run the body (training), or rank 0 alone.
        uses_torch: Whether torch is imported and seeded.
    """

    def decorate(body: Body) -> Stage:
        name = body.__name__

        @functools.wraps(body)
        def run(config: StageConfig, *, out: Path, **inputs: Path) -> Path:
            if set(inputs) != set(reads):
                raise TypeError(f"{name}() reads {sorted(reads)}, and was given {sorted(inputs)}")
            if config.seed is None:
                config = dataclasses.replace(config, seed=derive_seed(0, name))
            missing = {key for key in optional if not (Path(inputs[key]) / MANIFEST).is_file()}
            found = {key: Path(inputs[key]) for key in reads if key not in missing}
            order = Order(name, makes, config, found, Path(out))
            with making(order.out):
                if _on_main(lambda: _prepare(order, body.__module__)):
                    _perform(order, functools.partial(body, **dict.fromkeys(missing)), every_process, uses_torch)
            return order.out

        return run

    return decorate


def _on_main(decide: Callable[[], bool]) -> bool:
    """Let rank 0 decide for all; its refusal is everyone's."""
    decision: bool | ArtifactError | ConfigError = False
    if runtime.is_main_process():
        try:
            decision = decide()
        except (ArtifactError, ConfigError) as problem:
            decision = problem
    decision = runtime.from_main_process(decision)
    if isinstance(decision, Exception):
        raise decision
    return decision


def _prepare(order: Order, module: str) -> bool:
    """Make the partial folder ready for this request; False when the artifact is already what is asked for."""
    problems = order.config.problems()
    if problems:
        raise ConfigError("\n".join(problems))
    _recover(order)
    inputs = {name: read_manifest(path) for name, path in order.inputs.items()}
    for name, manifest in inputs.items():
        if manifest["kind"] != name:
            raise ArtifactError(
                f"{order.inputs[name]}: is a {manifest['kind']}. {order.name} reads a {name}. Name the folder of one."
            )
    request = {
        "kind": order.kind,
        "format": FORMAT,
        "config": without_absolute(resolved(order.config)),
        "inputs": {name: manifest["digest"] for name, manifest in inputs.items()},
        "outside": order.config.outside(),
        "code": sources.code_digest(module),
    }
    key = digest_value(request)
    if not forced.get() and _is_current(order.out, key):
        log.info("%s: up to date, skipped (%s)", order.name, order.out)
        return False
    if (order.partial / MANIFEST).is_file() and read_json(order.partial / MANIFEST)["request"] == key:
        _swap(order)  # the last run was cut between its manifest and the rename
        return False
    for name, path in order.inputs.items():
        read_finished(path, name)
    _ready_partial(order, key, request)
    return True


def _is_current(folder: Path, key: str) -> bool:
    """Whether the artifact answers this request; sizes are looked at here, contents by ``hftrain verify``."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_json(folder / MANIFEST)
    return manifest.get("request") == key and all(
        (folder / name).is_file() and (folder / name).stat().st_size == described["bytes"]
        for name, described in manifest["files"].items()
    )


def _recover(order: Order) -> None:
    """Finish what a kill between two renames left: there is always one whole artifact to find."""
    if order.replaced.is_dir() and not order.out.exists():
        order.replaced.rename(order.out)
    shutil.rmtree(order.replaced, ignore_errors=True)


def _ready_partial(order: Order, key: str, request: Mapping[str, Any]) -> None:
    found, before = order.partial / REQUEST, attempts.last_end(order.partial)
    resumes = not forced.get() and found.is_file() and read_json(found).get("key") == key
    if not resumes:
        shutil.rmtree(order.partial, ignore_errors=True)
    order.partial.mkdir(parents=True, exist_ok=True)
    for path in order.partial.iterdir():
        if path.name != SCRATCH:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (order.partial / SCRATCH).mkdir(exist_ok=True)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(found, {"key": key, "request": request, "started": started, "process": os.getpid()})
    attempts.begin(order.partial)
    if before:
        log.info("%s: %s", order.name, before)
    count = runtime.process_count()
    log.info(
        "%s: %s with %d process%s%s -> %s",
        order.name,
        "goes on" if resumes else "starts",
        count,
        "" if count == 1 else "es",
        f", reads {', '.join(order.inputs)}" if order.inputs else "",
        order.out,
    )


def _perform(order: Order, body: Body, every_process: bool, uses_torch: bool) -> None:
    began = time.monotonic()
    with energy.metered() as meter, reading(order.inputs.values(), order.out), attempts.in_order(order.partial):
        if every_process or runtime.is_main_process():
            runtime.forget_peak_memory()
            runtime.seed_everything(order.config.seed or 0, uses_torch=uses_torch, scratch=order.partial / SCRATCH)
            body(order.config, **order.inputs, out=order.partial)
        runtime.wait_for_everyone()
    if runtime.is_main_process():
        _publish(order, time.monotonic() - began, meter.joules)
    runtime.wait_for_everyone()


def _publish(order: Order, seconds: float, joules: float | None) -> None:
    found = read_json(order.partial / REQUEST)
    files = describe_files(order.partial, leave_out=NOT_CONTENT)
    measured = order.partial / MEASURED
    manifest = {
        "kind": order.kind,
        "stage": order.name,
        "format": FORMAT,
        "request": found["key"],
        "config": found["request"]["config"],
        "seed": order.config.seed,
        "inputs": {
            name: {
                "path": Path(os.path.relpath(path, order.out)).as_posix(),
                "digest": found["request"]["inputs"][name],
            }
            for name, path in order.inputs.items()
        },
        "outside": found["request"]["outside"],
        "code": {"digest": found["request"]["code"], **sources.commit()},
        "packages": sources.package_versions(),
        "files": files,
        "digest": digest_of_files(files),
        "started": found["started"],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "peak_memory_bytes": runtime.peak_memory_bytes(),
        "joules": joules,
        "processes": runtime.process_count(),
        "host": runtime.host_shape(),
        "measured": read_json(measured) if measured.exists() else {},
    }
    write_json(order.partial / MANIFEST, manifest)
    _swap(order)
    log.info("%s: done in %.0f s%s", order.name, seconds, headline(order.out))
    if (tell := after_publishing.get()) is not None:
        tell(order.out)


def _swap(order: Order) -> None:
    """Put the whole partial folder in the place of the earlier artifact."""
    for name in NOT_CONTENT - {MANIFEST}:
        path = order.partial / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if order.out.exists():
        order.out.rename(order.replaced)
    order.partial.rename(order.out)
    shutil.rmtree(order.replaced, ignore_errors=True)
