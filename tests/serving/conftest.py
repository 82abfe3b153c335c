"""A run whose models talk nonsense with great certainty, and servers of it."""

import asyncio
import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn

from hftrain.export.gguf_model import FILE, write_gguf
from hftrain.models.loading import save_model
from hftrain.serving.engine import Answer, End, Engine, Piece, Prepared, Question
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


class Parrot:
    """Says what it was asked, a word at a time, and how it was asked."""

    runtime, context_tokens, at_once = "parrot", 1000, 4

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, question: Question) -> Prepared:
        return Prepared(question, (1,), 100)

    async def answer(self, prepared: Prepared) -> Answer:
        said = prepared.question.messages[-1]["content"]
        if said == "slow":
            while True:
                yield Piece("on ")
                await asyncio.sleep(0.02)
        turns = len(prepared.question.messages)
        for word in (f"{self.name}: ", said, f" ({turns}, {prepared.question.messages[0]['content'][:20]})"):
            yield Piece(word)
        yield End("stop", 1, 3)

    async def close(self) -> None:
        return None


@pytest.fixture(scope="session")
def parrot() -> type[Parrot]:
    """``parrot(name)``: an engine that repeats what it is asked."""
    return Parrot


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, open_server: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page on a phone, over two parrots; an error of it, or a request to elsewhere, fails the test."""
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    engines = getattr(request, "param", None) or {"left": Parrot("left"), "right": Parrot("right")}
    with open_server(engines, store=store) as url:
        context = browser.new_context(viewport={"width": 390, "height": 844})
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        problems: list[str] = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
        opened.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else problems.append(asked.url))
        opened.goto(url)
        opened.kept = lambda: InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
        yield opened
        assert problems == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
        with contextlib.suppress(Exception):
            context.close()
