"""A server that is told to stop, and one that is killed: what was answered and acknowledged is there afterwards."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hftrain.serving.interactions import InteractionStore

WHOLE = "".join(f"{number} " for number in range(20))
ASK = {"messages": [{"role": "user", "content": "Count!"}]}


@contextlib.contextmanager
def counting(
    folder: Path, port: int = 0, stop_seconds: float = 20, words: int = 20
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address; killed at the end if it still runs."""
    script = str(Path(__file__).with_name("slow_server.py"))
    given = [f"sqlite:///{folder / 'kept.sqlite3'}", str(port), str(stop_seconds), str(words)]
    server = subprocess.Popen(
        [sys.executable, script, *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(httpx2.TransportError):
                httpx2.get(f"{url}/health")
                break
        yield server, url
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def text_of(response: httpx2.Response) -> str:
    chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def test_told_to_stop_it_ends_what_runs_and_refuses_what_comes(tmp_path: Path) -> None:
    with counting(tmp_path) as (server, url):
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=ASK | {"stream": True}) as running:
            lines = running.iter_lines()
            next(lines)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            late, health = httpx2.post(f"{url}/v1/chat/completions", json=ASK), httpx2.get(f"{url}/health")
            rest = [line for line in lines if line]
        assert (late.status_code, late.json()["error"]["code"], late.headers["retry-after"]) == (503, "stopping", "5")
        assert (health.status_code, health.json()["status"]) == (503, "stopping")
        assert rest[-1] == "data: [DONE]"
        assert "19 " in rest[-3]
        assert server.wait(10) in (0, -signal.SIGTERM)
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    assert [(each.outcome, each.answers) for each in store.interactions()] == [("stop", [WHOLE])]
    store.close()


def test_told_to_stop_it_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    with counting(tmp_path, stop_seconds=0.2, words=1000) as (server, url):
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=ASK | {"stream": True}) as running:
            lines = running.iter_lines()
            next(lines)
            server.send_signal(signal.SIGTERM)
            with contextlib.suppress(httpx2.TransportError):
                assert "[DONE]" not in "".join(lines)
        assert server.wait(10) in (0, -signal.SIGTERM)
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    assert [each.outcome for each in store.interactions()] == ["cancelled"]
    store.close()


def press(url: str, name_of_round: str, acknowledged: set[str], answered: set[str]) -> list[threading.Thread]:
    """Clients that ask and say what they think of each answer, until the server is gone."""

    def one(number: int) -> None:
        with contextlib.suppress(httpx2.TransportError), httpx2.Client(base_url=url, timeout=10) as client:
            for turn in range(1000):
                asked = ASK | {"stream": True, "user": f"person {number}"}
                answer = client.post("/v1/chat/completions", json=asked)
                name = json.loads(answer.text.split("\n")[0][6:])["id"]
                if text_of(answer) == WHOLE:
                    answered.add(name)
                said = {"id": f"{name_of_round}-{number}-{turn}", "interaction": name, "thumb": 1}
                said["comment"] = str(said["id"])
                if client.post("/v1/feedback", json=said).status_code == 200:
                    acknowledged.add(said["id"])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.slow
def test_killed_under_load_it_loses_no_acknowledged_feedback_and_starts_again_at_once(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    answered: set[str] = set()
    port = 0
    for name_of_round, round_seconds in (("a", 3.0), ("b", 2.3), ("c", 3.7)):
        with counting(tmp_path, port) as (server, url):
            port = int(url.rsplit(":", 1)[1])  # each restart takes the address of the one that was killed
            threads = press(url, name_of_round, acknowledged, answered)
            time.sleep(round_seconds)
            server.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    assert len(acknowledged) > 48
    plain = sqlite3.connect(tmp_path / "kept.sqlite3")
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert plain.execute("PRAGMA foreign_key_check").fetchall() == []
    plain.close()
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    kept = {each.id: each for each in store.interactions()}
    told = {each.id: each for each in store.feedback()}
    store.close()
    assert acknowledged <= set(told)
    assert all(each.interaction in kept and each.comment == each.id for each in told.values())
    assert {each.interaction for name, each in told.items() if name in acknowledged} <= set(kept)
    for each in kept.values():  # whole rows, and of whole answers no half
        assert WHOLE.startswith(each.answers[0])
        assert (each.answers[0] == WHOLE) == (each.outcome == "stop")
        assert each.asked == ASK["messages"]
