"""Every route of the application, as it is put together: who gets anything out of it without the key, and how."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hftrain.serving.engine import Answer, End, Piece, Prepared, Question
from hftrain.serving.guarding import Guard
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore
from hftrain.serving.server import ModelServer
from hftrain.serving.server_answers import Places, Served

KEY = "a-key-of-many-characters"
SECRET = "the-text-of-a-person"
PORT = 8000
OWN = {"Host": f"127.0.0.1:{PORT}"}
WITH_KEY = OWN | {"Authorization": f"Bearer {KEY}"}


class Confidant:
    """Answers with a secret."""

    runtime, context_tokens, at_once = "confidant", 128, 4

    def __init__(self) -> None:
        self.asked = 0

    def prepare(self, question: Question) -> Prepared:
        self.asked += 1
        return Prepared(question, (1,), 8)

    async def answer(self, prepared: Prepared) -> Answer:
        yield Piece(SECRET)
        yield End("stop", 1, 1)

    async def close(self) -> None:
        return None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server with a key, a model and a stored conversation."""
    monkeypatch.setattr("hftrain.serving.guarding.WRONG_KEY_SECONDS", 0.0)
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    store.keep(
        Interaction(
            id="c1", created=1e10, person="ann", model=SECRET, runtime="r", kind="chat",
            asked=[{"role": "user", "content": SECRET}], answers=[SECRET], settings={}, outcome="stop",
            prompt_tokens=1, answer_tokens=1, first_token_seconds=None, seconds=1.0,
        )
    )  # fmt: skip
    store.add(Feedback(id="f1", created=1e10, interaction="c1", person="ann", comment=SECRET)).result()
    engine = Confidant()
    yield ModelServer(
        [Served(SECRET, engine, Places(4, 8), "test")], store, keep_days=90, guard=Guard(port=PORT, key=KEY)
    )
    store.close()


def ask(server: ModelServer, method: str, path: str, headers: dict[str, str], body: Any = None) -> httpx2.Response:
    """One request, straight into the application: the path and the Host go in as they are."""

    async def call() -> httpx2.Response:
        transport = httpx2.ASGITransport(server.app(), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}") as client:
            return await client.request(method, path, headers=headers, json=body)

    return asyncio.run(call())


def addresses(server: ModelServer) -> list[tuple[str, str]]:
    """Each method and path of the routes that the application holds, whatever they are."""
    routes = server.app().app.routes  # type: ignore[attr-defined]
    return [(method, route.path.replace("{name:path}", SECRET)) for route in routes for method in sorted(route.methods)]


BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/completions": {"prompt": "x"},
    "/v1/feedback": {"interaction": "c1", "thumb": 1},
    "/v1/my-data": {"user": "ann"},
}
STRANGERS = {
    "no key": (OWN, 401),
    "a wrong key": (OWN | {"Authorization": "Bearer wrong"}, 401),
    "an empty key": (OWN | {"Authorization": "Bearer "}, 401),
    "the key in another scheme": (OWN | {"Authorization": f"Basic {KEY}"}, 401),
    "a wrong cookie": (OWN | {"Cookie": f"hftrain_{PORT}={KEY}"}, 401),
    "another origin, with the key": (WITH_KEY | {"Origin": "http://evil.example"}, 403),
    "the same host on another port, with the key": (WITH_KEY | {"Origin": "http://127.0.0.1:3000"}, 403),
    "an origin of no page, with the key": (WITH_KEY | {"Origin": "null"}, 403),
    "a script of another site, with the key": (WITH_KEY | {"Sec-Fetch-Site": "cross-site"}, 403),
    "a name that was pointed here, with the key": (WITH_KEY | {"Host": f"evil.example:{PORT}"}, 421),
    "a longer name, with the key": (WITH_KEY | {"Host": f"127.0.0.1.evil.example:{PORT}"}, 421),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_no_route_gives_or_does_anything_for(server: ModelServer, stranger: str) -> None:
    headers, status = STRANGERS[stranger]
    every = addresses(server)
    assert len({path for _, path in every}) == 9
    for method, path in [*every, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/static/chat_page.js")]:
        answer = ask(server, method, path, headers, BODIES.get(path))
        assert answer.status_code == status, (method, path)
        assert SECRET not in answer.text + str(answer.headers)
        assert method == "HEAD" or answer.json()["error"]["code"]
        assert "access-control-allow-origin" not in answer.headers
    assert server.served[SECRET].engine.asked == 0  # type: ignore[attr-defined]
    assert server.store is not None
    assert len(list(server.store.interactions())) == len(list(server.store.feedback())) == 1


def test_each_route_does_its_work_with_the_key(server: ModelServer) -> None:
    found = {path: ask(server, m, path, WITH_KEY, BODIES.get(path)).status_code for m, path in addresses(server)}
    assert set(found.values()) == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/../served/interactions.sqlite3",
        "/v1/models/../../../served/interactions.sqlite3", "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/models//etc/passwd", "//etc/passwd", "/served/interactions.sqlite3", "/chat_page.js", "/page/..%5c..%5c",
        "/v1/models/%00", "/metrics/", "/METRICS", "/v1/models/x?name=../../etc/passwd",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(server: ModelServer, path: str) -> None:
    for headers, statuses in ((WITH_KEY, {404}), (OWN, {401})):
        answer = ask(server, "GET", path, headers)
        assert answer.status_code in statuses
        assert answer.json()["error"]
        assert "root:" not in answer.text


RAW = {
    "an absolute target": f"GET http://127.0.0.1:{PORT}/v1/models HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n",
    "two hosts": f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nHost: evil.example\r\n",
    "no host": "GET /v1/models HTTP/1.0\r\n",
    "a target with dots": f"GET /../v1/models HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n",
    "an upgrade": f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "two lengths": f"POST /v1/my-data HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
    "a length of nonsense": f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nContent-Length: -1\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_no_client_sends_gets_no_further(open_server: Any, name: str) -> None:
    with open_server({SECRET: Confidant()}, key=KEY) as url:
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=10) as line:
            line.sendall(RAW[name].encode() + b"Connection: close\r\n\r\n")
            said = b""
            while data := line.recv(65_536):
                said += data
        assert said.split()[1] in (b"400", b"401", b"421")
        assert SECRET.encode() not in said
        assert httpx2.get(f"{url}/health", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_the_key_is_not_in_anything_that_is_sent(server: ModelServer) -> None:
    page = ask(server, "GET", "/", WITH_KEY)
    form = ask(server, "GET", "/", OWN | {"Accept": "text/html"})
    assert (page.status_code, form.status_code) == (200, 401)
    for answer in (page, form, ask(server, "GET", "/metrics", WITH_KEY)):
        assert KEY not in answer.text + str(answer.headers)
        assert server.guard.cookie_value not in answer.text
    assert json.dumps(SECRET) not in form.text
