"""A run whose models talk nonsense with great certainty, and servers of it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import uvicorn

from hftrain.export.gguf_model import FILE, write_gguf
from hftrain.models.loading import save_model
from hftrain.serving.engine import Engine
from hftrain.serving.guarding import Guard
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.server import ModelServer
from hftrain.serving.server_answers import Places, Served

OpenServer = Callable[..., contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="session")
def speaking_run(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Callable[..., tuple[object, object]],
    make_artifact: Callable[[Path, str, Callable[[Path], None]], Path],
) -> Path:
    """A run with ``policy``, ``chat`` and ``export/gguf-f16`` of the policy; weights are random and far from zero."""
    run = tmp_path_factory.mktemp("runs") / "nonsense"
    for seed, kind in enumerate(("policy", "chat")):
        model, tokenizer = tiny_model(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(8)
        make_artifact(run / kind, kind, lambda out, m=model, t=tokenizer: save_model(m, t, out))  # type: ignore[misc]
        if kind == "policy":
            exported = run / "export" / "gguf-f16"
            exported.mkdir(parents=True)
            write_gguf(model, tokenizer, exported / FILE, precision="f16")
    return run


@pytest.fixture(scope="session")
def open_server() -> OpenServer:
    """``with open_server({name: engine}, store=..., key=..., queue=...) as url``: a server on a free port."""

    @contextlib.contextmanager
    def opened(
        engines: dict[str, Engine], *, store: InteractionStore | None = None, key: str | None = None, queue: int = 64
    ) -> Iterator[str]:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        served = [Served(name, engine, Places(engine.at_once, queue), "test") for name, engine in engines.items()]
        app = ModelServer(served, store, keep_days=90, guard=Guard(port=port, key=key)).app()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()

    return opened
