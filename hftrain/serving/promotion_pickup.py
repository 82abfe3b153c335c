"""What a running server does when another model is promoted, or an adapter is made: it takes them up as it runs.

The new model is loaded beside the old one; requests that come from then on go to it, those under way end on the old
one, which is let go once nobody holds it.
"""

import asyncio
import gc
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hftrain.errors import HftrainError
from hftrain.files import read_json
from hftrain.manifests import MANIFEST, read_finished
from hftrain.runtime import log
from hftrain.serving.engine import Engine
from hftrain.serving.promotion import FILE, PROMOTED, promoted
from hftrain.serving.server_answers import Served
from hftrain.serving.server_models import ADAPTERS, adapter_names, served_model, shown_name, usual_names

LOOK_SECONDS = 1.0
LET_GO_SECONDS = 0.5


class Offers(Protocol):
    """A server, as far as it is needed here."""

    served: Mapping[str, Served]

    def offer(self, served: Served, *, first: bool = False) -> None:
        """Answer by this model from now on where its name is asked for."""
        ...


class Pickup:
    """Watches which model of a run is promoted, and which adapters it has."""

    def __init__(self, run: Path, served: Sequence[Served], queue: int, *, adds: bool = True) -> None:
        """Begin with what is served.

        Args:
            run: The run's folder.
            served: What the server offers when it starts.
            queue: Requests that may wait for each model.
            adds: Whether names are taken up that were not offered at the start.
        """
        self._run, self._queue, self._adds = run, queue, adds
        self._versions = {each.name: each.version for each in served}
        self._refused: dict[str, str] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def watch(self, server: Offers) -> None:
        """Take up what is new, again and again, until cancelled."""
        for each in list(server.served.values()):
            server.offer(replace(each))  # which nobody but the server and its requests holds
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name, version in self._wanted().items():
                if version not in (self._versions.get(name), self._refused.get(name)):
                    await self._take_up(server, name, version)

    async def close(self) -> None:
        """Wait no longer for models that are still held; their engines are ended."""
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _wanted(self) -> dict[str, str]:
        """Name -> digest of what should be served."""
        found = {}
        try:
            if (self._run / FILE).is_file():
                found[PROMOTED] = promoted(self._run).digest
            for name in adapter_names(self._run):
                found[name] = read_json(self._run / ADAPTERS / name / MANIFEST)["digest"]
        except HftrainError as problem:
            log.warning("serve: %s", problem)
        return {name: version for name, version in found.items() if self._adds or name in self._versions}

    async def _take_up(self, server: Offers, name: str, version: str) -> None:
        began = time.monotonic()
        try:
            made = await asyncio.to_thread(self._load, name, server.served)
        except HftrainError as problem:
            self._refused[name] = version
            log.warning("serve: %s is not taken up; what was served goes on. %s", name, problem)
            return
        old = server.served.get(name)
        server.offer(made, first=name == PROMOTED)
        self._versions[name] = made.version
        log.info("serve: %s is %s (%s) from now on; loaded in %.1f s", name, made.source, made.version[:19],
                 time.monotonic() - began)  # fmt: skip
        if old is not None:
            task = asyncio.create_task(_let_go(weakref.ref(old), old.engine, server))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _load(self, name: str, served: Mapping[str, Served]) -> Served:
        """Load a model whose files are as they were made.

        Raises:
            HftrainError: It cannot be.
        """
        where = promoted(self._run).model if name == PROMOTED else f"{ADAPTERS}/{name}"
        kind = read_json(self._run / where / MANIFEST)["kind"]
        read_finished(self._run / where, kind)
        return served_model(self._run, name, where, self._queue, list(served.values()))


def pickup_of(run: Path, served: Sequence[Served], queue: int) -> Pickup | None:
    """What takes up other models of a run while its server runs; None for the folder of a model, which has none.

    Where someone chose what is offered, what is promoted is taken up only if it is among that.
    """
    if (run / "config.json").is_file():
        return None
    try:
        usual = {shown_name(run, name) for name in usual_names(run)}
    except HftrainError:  # the run has no model, and another server's are offered
        return Pickup(run, served, queue, adds=False)
    return Pickup(run, served, queue, adds=usual <= {each.name for each in served})


async def _let_go(held: "weakref.ref[Served]", engine: Engine, server: Offers) -> None:
    """End an engine once no request holds what it was served as, unless something else is served by it."""
    try:
        while held() is not None:
            await asyncio.sleep(LET_GO_SECONDS)
            gc.collect()  # an answer that failed may lie in a cycle of its own traceback
    finally:
        if all(each.engine is not engine for each in server.served.values()):
            await engine.close()
            log.info("serve: the model before it is let go")
