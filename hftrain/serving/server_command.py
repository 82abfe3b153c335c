"""The command ``hftrain serve``."""

import contextlib
import math
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

import uvicorn
from sqlalchemy import URL
from starlette.types import ASGIApp

from hftrain.errors import ArtifactError, ConfigError
from hftrain.serving.database import sqlite_url
from hftrain.serving.guarding import KEY_VARIABLE, LOOPBACK, Guard, allowed_hosts, read_keys
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.kept import DATABASE, FOLDER
from hftrain.serving.server import ModelServer

MOST_CONNECTIONS = 4000


def serve(
    run: Path,
    out: TextIO,
    *,
    models: Sequence[str] = (),
    upstreams: Sequence[str] = (),
    upstream_model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    hosts: Sequence[str] = (),
    key_file: Path | None = None,
    database: str | None = None,
    keeps: bool = True,
    keep_days: float = 90.0,
    queue: int = 256,
    stop_seconds: int = 30,
) -> None:
    """Serve a run's models until the process is told to stop; streams that run then may end.

    Args:
        run: A run's folder, or a model's.
        out: Where the address is written once it is open.
        models: As `offered`.
        upstreams: As `offered`.
        upstream_model: As `offered`.
        host: Where to listen.
        port: Where to listen; 0 takes a free one.
        hosts: Further names by which the server may be asked.
        key_file: Holds the keys that are taken, one a line; else the environment's is, if there is one.
        database: An SQLAlchemy URL; None for a SQLite file in the run.
        keeps: Whether interactions and feedback are stored at all.
        keep_days: What is older is deleted.
        queue: Requests that may wait for each model.
        stop_seconds: How long streams may go on after SIGTERM.

    Raises:
        ConfigError: The address is open to others and no key is set; or anything that the parts refuse.
        ArtifactError: The address is taken, or anything that the parts refuse.
    """
    from hftrain.serving.promotion_pickup import pickup_of
    from hftrain.serving.server_models import offered

    if keep_days <= 0 or queue < 0 or stop_seconds < 0:
        raise ConfigError("--keep-days, --queue and --stop-seconds: more than 0, and 0 or more, are needed.")
    keys = _keys_for(host, key_file)
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(_listen(host, port))
        store = InteractionStore(database or _file_of(run)) if keeps else None
        if store is not None:
            opened.callback(store.close)
        served = offered(run, models, upstreams, upstream_model, queue)
        port = listening.getsockname()[1]
        names = allowed_hosts(f"[{host}]" if ":" in host else host, hosts)
        guard = Guard(port=port, key=keys[0] if keys else None, further_keys=keys[1:], hosts=names)
        server = ModelServer(served, store, keep_days=keep_days, guard=guard, pickup=pickup_of(run, served, queue))
        shown = "\n".join(f"  {each.name:24} {each.engine.runtime:10} {each.source}" for each in served)
        kept = "nothing is kept" if store is None else f"kept {keep_days:g} days in {store.shown_url}"
        out.write(f"{shown}\nhttp://{host}:{port} (API: http://{host}:{port}/v1); {kept}. Ctrl-C ends it.\n")
        out.flush()
        with contextlib.suppress(KeyboardInterrupt):
            Stopping(_config(server.app()), server, stop_seconds).run(sockets=[listening])


def _keys_for(host: str, key_file: Path | None) -> tuple[str, ...]:
    """The keys that are taken; none is needed where this machine alone can ask."""
    keys = read_keys(key_file)
    if host not in LOOPBACK | {"::1"} and not keys:
        raise ConfigError(
            f"--host {host}: others can reach that address, and no key is set. Set {KEY_VARIABLE} or --api-key-file, "
            "or leave --host out."
        )
    return keys


class Stopping(uvicorn.Server):
    """A server that, told to stop, refuses new requests with a word and lets those under way end."""

    def __init__(self, config: uvicorn.Config, server: ModelServer, stop_seconds: float) -> None:
        """Wait so long for requests under way, and no longer once told a second time."""
        super().__init__(config)
        self._server, self._stop_seconds, self._until = server, stop_seconds, math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first one begins the end."""
        if self._server.is_stopping:
            super().handle_exit(sig, frame)
        self._server.is_stopping, self._until = True, time.monotonic() + self._stop_seconds

    async def on_tick(self, counter: int) -> bool:
        """Whether it is over; asked ten times a second."""
        is_idle = self._server.is_stopping and not self._server.open_requests
        self.should_exit = self.should_exit or is_idle or time.monotonic() > self._until
        return await super().on_tick(counter)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",  # which limits the size of headers
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
        ws="none",
        lifespan="on",
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as problem:
        listening.close()
        raise ArtifactError(
            f"--port {port}: {problem.strerror} on {host}. A free port of this machine is needed. Name another, or 0."
        ) from None
    return listening


def _file_of(run: Path) -> URL:
    if not run.is_dir():
        raise ArtifactError(f"{run}: no such folder. Name a run's folder.")
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    file = folder / DATABASE
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite_url(file)
