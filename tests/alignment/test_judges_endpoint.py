import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment.judges import Candidate, Contest, Verdict, judge_problems, load_judge
from hftrain.alignment.judges_endpoint import KEPT, Endpoint, endpoint_asker, label_in
from hftrain.errors import ConfigError, DataError

KEY = "sk-secret-123"
Answer = tuple[int, dict[str, str], bytes]


def says(text: str | None) -> Answer:
    return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


class Stub(ThreadingHTTPServer):
    """An endpoint on this machine that answers as ``answer`` says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.times: list[float] = []
        self.answer: Callable[[int, dict[str, Any]], Answer] = lambda number, body: says("A")
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), StubHandler)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class StubHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append(body)
            server.headers.append(dict(self.headers) | {"path": self.path})
            server.times.append(time.monotonic())
            number = len(server.asked)
        code, headers, content = server.answer(number, body)
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked may have gone
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds slept between tries, which take no time."""
    slept: list[float] = []
    monkeypatch.setattr("hftrain.alignment.judges_endpoint.time.sleep", slept.append)
    return slept


def asking(stub: Stub, **settings: Any) -> Endpoint:
    return Endpoint(base_url=stub.base_url, model="judge", **{"requests_at_once": 1, "retries": 3} | settings)


def questions(count: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"Question {number}: A or B?"}] for number in range(count)]


def test_replies_come_in_the_order_of_the_questions_though_several_are_under_way(stub: Stub) -> None:
    stub.answer = lambda _, body: says("AB"[int(body["messages"][0]["content"].split()[1][:-1]) % 2])
    replies = endpoint_asker(asking(stub, requests_at_once=4))(questions(9), ("A", "B"))
    assert [reply.said for reply in replies] == list("ABABABABA")
    assert replies[1].shares == {"A": 0.0, "B": 1.0}
    assert {header["path"] for header in stub.headers} == {"/v1/chat/completions"}
    assert stub.asked[0] | {"messages": 0} == {"model": "judge", "messages": 0, "max_tokens": 16, "temperature": 0}


def test_the_key_goes_into_one_header_and_nowhere_else(stub: Stub, tmp_path: Path) -> None:
    endpoint = asking(stub, key=KEY)
    endpoint_asker(endpoint, tmp_path)(questions(1), ("A", "B"))
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(stub.asked) + repr(endpoint) + (tmp_path / KEPT).read_text()


def test_a_refusal_is_told_at_once_without_the_key_that_the_server_repeats(
    stub: Stub, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    stub.answer = lambda *_: (401, {}, f"wrong key {KEY}".encode())
    with pytest.raises(ConfigError, match=r"HTTP 401: wrong key \(the key\)") as refusal:
        endpoint_asker(asking(stub, key=KEY))(questions(3), ("A", "B"))
    assert KEY not in str(refusal.value) + caplog.text
    assert not any(pauses)
    assert len(stub.asked) <= 2


def test_faults_that_may_pass_are_asked_again_with_growing_pauses(stub: Stub, pauses: list[float]) -> None:
    faults: list[Answer] = [(503, {}, b""), (429, {"Retry-After": "7"}, b""), (200, {}, b"no json")]
    stub.answer = lambda number, _: faults[number - 1] if number <= 3 else says("B")
    (reply,) = endpoint_asker(asking(stub))(questions(1), ("A", "B"))
    assert reply.said == "B"
    assert [pause for pause in pauses if pause > 0] == [1.0, 7.0, 4.0]


def test_an_endpoint_that_stays_broken_is_given_up_with_the_reason(stub: Stub, pauses: list[float]) -> None:
    stub.answer = lambda *_: (500, {}, b"out of order")
    with pytest.raises(ConfigError, match=r"HTTP 500: out of order, 4 times in a row.*what was answered is kept"):
        endpoint_asker(asking(stub))(questions(1), ("A", "B"))
    assert len(stub.asked) == 4


def test_nobody_at_the_address_is_told(pauses: list[float]) -> None:
    nobody = Endpoint(base_url="http://127.0.0.1:9", model="judge", retries=1)
    with pytest.raises(ConfigError, match=r"does not answer for judge: URLError.*2 times"):
        endpoint_asker(nobody)(questions(1), ("A", "B"))


def test_a_server_that_does_not_answer_in_time_is_given_up(stub: Stub) -> None:
    release = threading.Event()

    def slow(*_: Any) -> Answer:
        release.wait(5)
        return says("A")

    stub.answer = slow
    with pytest.raises(ConfigError, match="timed out"):
        endpoint_asker(asking(stub, timeout_seconds=0.1, retries=0))(questions(1), ("A", "B"))
    release.set()


def test_a_redirect_is_refused_since_it_would_carry_the_key_away(stub: Stub) -> None:
    stub.answer = lambda *_: (302, {"Location": "http://example.invalid/"}, b"")
    with pytest.raises(ConfigError, match="HTTP 302"):
        endpoint_asker(asking(stub, key=KEY))(questions(1), ("A", "B"))


def test_what_was_answered_before_a_kill_is_not_asked_again(stub: Stub, tmp_path: Path, pauses: list[float]) -> None:
    stub.answer = lambda number, _: says("B") if number <= 3 else (401, {}, b"")
    with pytest.raises(ConfigError):
        endpoint_asker(asking(stub), tmp_path)(questions(5), ("A", "B"))
    with (tmp_path / KEPT).open("ab") as file:
        file.write(b'{"key": "cut in the mid')

    stub.answer = lambda *_: says("A")
    before = len(stub.asked)
    replies = endpoint_asker(asking(stub), tmp_path)(questions(5), ("A", "B"))
    assert [reply.said for reply in replies] == ["B", "B", "B", "A", "A"]
    assert len(stub.asked) == before + 2
    assert endpoint_asker(asking(stub), tmp_path)(questions(5), ("A", "B")) == replies
    assert len(stub.asked) == before + 2


def test_another_model_is_asked_anew(stub: Stub, tmp_path: Path) -> None:
    for model in ("one", "two"):
        endpoint_asker(Endpoint(base_url=stub.base_url, model=model), tmp_path)(questions(1), ("A", "B"))
    assert len(stub.asked) == 2


def test_requests_keep_to_the_rate(stub: Stub) -> None:
    endpoint_asker(asking(stub, requests_per_minute=1200, requests_at_once=3))(questions(4), ("A", "B"))
    gaps = [later - earlier for earlier, later in zip(sorted(stub.times), sorted(stub.times)[1:], strict=False)]
    assert sum(gaps) > 0.12  # three gaps of a twentieth of a second, but for what the network adds


def test_too_many_malformed_replies_are_refused_with_their_number(stub: Stub) -> None:
    stub.answer = lambda number, _: says({1: "Both are fine", 2: None}.get(number, "A"))
    with pytest.raises(DataError, match=r"2 of 4 replies of judge name none of A, B or several \(1 are empty\)"):
        endpoint_asker(asking(stub, max_malformed_share=0.4))(questions(4), ("A", "B"))
    allowed = endpoint_asker(asking(stub, max_malformed_share=0.5))(questions(4), ("A", "B"))
    assert [reply.shares is None for reply in allowed].count(True) == 0  # asked anew, by then all is well


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "A"),
        (" **B**.\n", "B"),
        ("Answer: B", "B"),
        ("The better one is A, since it is short.", "A"),
        ("<think>A or B? A is longer.</think>\n\nB", "B"),
        ("A or B", None),
        ("a", None),
        ("", None),
        ("C", None),
    ],
)
def test_a_reply_counts_if_it_names_one_label(text: str, expected: str | None) -> None:
    assert label_in(text, ("A", "B")) == expected


def test_the_judge_of_a_configuration_asks_with_the_key_of_the_environment(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    options = {"base_url": stub.base_url, "model": "judge", "key_variable": "JUDGE_KEY"}
    assert judge_problems("openai", options, "collect_preferences") == []

    def longer(_: int, body: dict[str, Any]) -> Answer:
        first, second = body["messages"][0]["content"].split("[Answer A]\n")[1].split("\n\n[Answer B]\n")
        return says("A" if len(first) > len(second.split("\n\nWhich")[0]) else "B")

    stub.answer = longer
    contest = Contest([{"role": "user", "content": "Hi"}], (Candidate("Hello there", True), Candidate("Yo", True)))
    judged = load_judge("openai", options, tmp_path)([contest])
    assert judged.verdicts == [Verdict((1.0, 0.0))]
    assert [row["reply"] for row in judged.asked] == ["A", "B"]
    assert {header["Authorization"] for header in stub.headers} == {f"Bearer {KEY}"}
    assert KEY not in json.dumps(list(judged.asked)) + "".join(path.read_text() for path in tmp_path.iterdir())
