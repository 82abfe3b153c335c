"""A running server takes up what is promoted, and what an adapter is made for, under streams."""

import asyncio
import contextlib
import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn

from hftrain.manifests import read_manifest
from hftrain.models.loading import save_model
from hftrain.serving import promotion_pickup
from hftrain.serving.guarding import Guard
from hftrain.serving.promotion import promote, rollback
from hftrain.serving.promotion_pickup import pickup_of
from hftrain.serving.server import ModelServer
from hftrain.serving.server_models import offered

Make = Callable[[Path, str, Callable[[Path], None]], Path]
WAIT_SECONDS = 30.0


@pytest.fixture
def run(speaking_run: Path, tmp_path: Path, tiny_model: Callable[..., Any], make_artifact: Make) -> Path:
    """A run with a policy and the model of a cycle, which says other things."""
    shutil.copytree(speaking_run / "policy", tmp_path / "run" / "policy")
    model, tokenizer = tiny_model(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    make_artifact(tmp_path / "run/cycles/001/liked", "policy", lambda out: save_model(model, tokenizer, out))
    return tmp_path / "run"


@contextlib.contextmanager
def serving(run: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ModelServer]]:
    """A server that looks often."""
    monkeypatch.setattr(promotion_pickup, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(promotion_pickup, "LET_GO_SECONDS", 0.05)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    served = offered(run, names, [], None, 64)
    made = ModelServer(served, None, keep_days=1, guard=Guard(port=port, key=None), pickup=pickup_of(run, served, 64))
    server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", made
    finally:
        server.should_exit = True
        thread.join()


def ask(url: str, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "Hello!"}], "temperature": 0, "max_tokens": 12} | more
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def version(url: str, name: str = "promoted") -> str | None:
    found = httpx.get(f"{url}/health", timeout=30).json()["versions"].get(name)
    return None if found is None else str(found)


def test_a_promotion_and_its_undoing_are_taken_up_under_streams_none_dropped_none_mixed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (read_manifest(run / name)["digest"] for name in ("policy", "cycles/001/liked"))
    seen: list[tuple[set[str], str, bool]] = []
    is_over = threading.Event()

    def stream(url: str) -> None:
        body = {"messages": [{"role": "user", "content": "Hello!"}], "temperature": 0, "max_tokens": 40, "stream": True}
        while not is_over.is_set():
            marks, text, is_whole = set(), "", False
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer:
                for line in answer.iter_lines():
                    is_whole |= line == "data: [DONE]"
                    if line.startswith("data: {"):
                        chunk = json.loads(line[6:])
                        marks.add(chunk["system_fingerprint"])
                        text += chunk["choices"][0]["delta"].get("content") or ""
            seen.append((marks, text, is_whole))

    with serving(run, ["promoted"], monkeypatch) as (url, made):
        assert version(url) == old
        engine = made.served["promoted"].engine
        closed = threading.Event()
        close = engine.close

        async def noted() -> None:
            await close()
            closed.set()

        engine.close = noted  # type: ignore[method-assign]
        threads = [threading.Thread(target=stream, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(seen) > 3)
        promote(run, "cycles/001/liked", "001")
        until(lambda: version(url) == new)
        count = len(seen)
        until(lambda: len(seen) > count + 6)
        assert closed.wait(WAIT_SECONDS), "the model before is never let go"
        rollback(run, io.StringIO())
        until(lambda: version(url) == old)
        count = len(seen)
        until(lambda: len(seen) > count + 6)
        is_over.set()
        for thread in threads:
            thread.join()
    assert all(is_whole and len(marks) == 1 for marks, _, is_whole in seen)
    texts: dict[str, set[str]] = {}
    for marks, text, _ in seen:
        texts.setdefault(next(iter(marks)), set()).add(text)
    assert set(texts) == {old, new}
    assert all(len(said) == 1 for said in texts.values())
    assert texts[old] != texts[new]


def test_the_first_promotion_of_a_served_run_becomes_what_answers_where_no_model_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(run, [], monkeypatch) as (url, made):
        assert list(made.served) == ["policy"]
        assert ask(url)["model"] == "policy"
        promote(run, "cycles/001/liked", "001")
        until(lambda: version(url) is not None)
        assert [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]] == ["promoted", "policy"]
        assert '"promoted"' in httpx.get(url).text
        answered = ask(url)
        assert answered["model"] == "promoted"
        assert answered["system_fingerprint"] == read_manifest(run / "cycles/001/liked")["digest"]
        assert ask(url, model="policy")["model"] == "policy"


def test_who_chose_what_is_served_is_given_nothing_else(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run / "policy", run / "chat")
    with serving(run, ["policy"], monkeypatch) as (url, made):
        promote(run, "cycles/001/liked", "001")
        time.sleep(0.5)
        assert list(made.served) == ["policy"]
        assert ask(url)["model"] == "policy"


def test_a_promoted_model_whose_files_changed_is_not_taken_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(run, "cycles/001/liked", "001")
    told = (run / "promoted.json").read_text()
    rollback(run, io.StringIO())
    (run / "cycles/001/liked/config.json").write_text("{}")
    with serving(run, ["promoted"], monkeypatch) as (url, _):
        before = version(url)
        (run / "promoted.json").write_text(told)
        time.sleep(0.5)
        assert version(url) == before == read_manifest(run / "policy")["digest"]
        assert ask(url)["model"] == "promoted"


def test_one_engine_runs_what_is_offered_under_two_names(run: Path) -> None:
    served = offered(run, ["promoted", "policy"], [], None, 64)
    assert served[0].engine is served[1].engine
    assert served[0].version == served[1].version == read_manifest(run / "policy")["digest"]
    asyncio.run(served[0].engine.close())
