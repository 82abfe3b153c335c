"""What clients of every kind get: curl, a parser of metrics, one that stops reading, and all when things fail."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy.exc import OperationalError

from hftrain.serving.engine import Answer, Candidate, End, Piece, Prepared, Question, Refused, Report
from hftrain.serving.engine_inbox import Inbox
from hftrain.serving.interactions import InteractionStore

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
REPORT = Report(Candidate("é", (195, 169), -0.5), (Candidate("é", (195, 169), -0.5), Candidate("\n", (10,), -1.5)))


class Saying:
    """Says given pieces; an exception among them is raised, in its place."""

    runtime, context_tokens, at_once = "saying", 128, 8

    def __init__(self, *pieces: Piece | Exception) -> None:
        self.pieces, self.closed = pieces, 0

    def prepare(self, question: Question) -> Prepared:
        return Prepared(question, (1, 2, 3), 8)

    async def answer(self, prepared: Prepared) -> Answer:
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
            yield End("stop", 3, len(self.pieces))
        finally:
            self.closed += 1

    async def close(self) -> None:
        return None


def curl(*words: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return subprocess.run(["curl", "-sS", *words], check=True, capture_output=True, text=True, timeout=30).stdout


def test_curl_gets_answers_whole_and_streamed_and_errors(open_server: Any) -> None:
    post = ("-H", "Content-Type: application/json", "-d")
    with open_server({"m": Saying(Piece("Hé "), Piece("\u2028<b>"))}) as url:
        whole = json.loads(curl(f"{url}/v1/chat/completions", *post, json.dumps(ASK)))
        lines = curl("-N", f"{url}/v1/chat/completions", *post, json.dumps(ASK | {"stream": True})).split("\n\n")
        text = json.loads(curl(f"{url}/v1/completions", *post, '{"prompt": "x"}'))
        wrong = json.loads(curl(f"{url}/v1/chat/completions", *post, '{"messages": 3}'))
        assert json.loads(curl(f"{url}/v1/models"))["data"][0]["id"] == "m"
    assert (whole["choices"][0]["message"]["content"], whole["choices"][0]["finish_reason"]) == ("Hé \u2028<b>", "stop")
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert lines[-2:] == ["data: [DONE]", ""]
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines[:-2]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(each.get("content", "") for each in deltas) == "Hé \u2028<b>"
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", "Hé \u2028<b>")
    assert set(wrong["error"]) == {"message", "type", "param", "code"}
    assert wrong["error"]["param"] == "messages"


def test_a_stream_has_usage_and_probabilities_where_they_are_asked_for(open_server: Any) -> None:
    engine = Saying(Piece("é", (REPORT,)), Piece("é", (REPORT,)))
    asked = ASK | {"logprobs": True, "top_logprobs": 2, "stream_options": {"include_usage": True}}
    with open_server({"m": engine}) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        chunks = list(client.chat.completions.create(model="m", stream=True, **asked))
        pieces = list(client.completions.create(model="m", prompt="x", stream=True, logprobs=2))
    steps = [step for chunk in chunks for c in chunk.choices if c.logprobs for step in c.logprobs.content]
    assert [(step.token, step.bytes, step.logprob, len(step.top_logprobs)) for step in steps] == [
        ("é", [195, 169], -0.5, 2)
    ] * 2
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 5)
    told = [each.choices[0].logprobs for each in pieces if each.choices[0].logprobs]
    assert [each.text_offset for each in told] == [[0], [1]]
    assert told[0].top_logprobs == [{"é": -0.5, "\n": -1.5}]


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_the_first_token_is_an_error_in_openais_form(open_server: Any, stream: bool) -> None:
    broken = {"refused": Refused("No.", status=500, kind="server_error", code="runtime_failed"), "bug": KeyError("x")}
    engines = {name: Saying(problem) for name, problem in broken.items()}
    with open_server(engines) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for name, code in (("refused", "runtime_failed"), ("bug", "internal_error")):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model=name, stream=stream, **ASK)
            assert (caught.value.code, caught.value.type) == (code, "server_error")
        assert 'route="/v1/chat/completions",status="500"} 2' in httpx2.get(f"{url}/metrics").text


def test_a_stream_that_fails_on_the_way_says_so_and_never_ends_as_if_it_were_whole(open_server: Any) -> None:
    engines = {"refused": Saying(Piece("a"), Refused("No more.", code="c")), "bug": Saying(Piece("a"), KeyError("x"))}
    with open_server(engines) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.APIError, match=r"No more\."):
            list(client.chat.completions.create(model="refused", stream=True, **ASK))
        with pytest.raises(openai.APIConnectionError):
            list(client.chat.completions.create(model="bug", stream=True, **ASK))
        assert 'outcome="failed"} 1' in httpx2.get(f"{url}/metrics").text


def test_a_database_that_does_not_answer_is_told_and_answers_go_on(open_server: Any, tmp_path: Path) -> None:
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")

    def fails(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    with open_server({"m": Saying(Piece("a"))}, store=store) as url:
        store._insert = lambda interaction: fails  # type: ignore[method-assign, assignment]
        store._add = fails  # type: ignore[method-assign, assignment]
        assert httpx2.post(f"{url}/v1/chat/completions", json=ASK).status_code == 200
        said = httpx2.post(f"{url}/v1/feedback", json={"interaction": "c1", "thumb": 1})
        assert (said.status_code, said.json()["error"]["code"]) == (503, "store_failed")
        assert "hftrain_interactions_dropped 1" in httpx2.get(f"{url}/metrics").text


def test_a_client_that_takes_nothing_any_more_has_gone(open_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hftrain.serving.server_streams.STALLED_SECONDS", 0.4)
    engine = Saying(*[Piece("word " * 20_000)] * 200)
    with open_server({"m": engine}) as url:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        body = json.dumps(ASK | {"stream": True})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall((head + body).encode())
        until = time.monotonic() + 20
        while not engine.closed and time.monotonic() < until:
            time.sleep(0.02)
        line.close()
        assert engine.closed == 1
        assert 'outcome="cancelled"} 1' in httpx2.get(f"{url}/metrics").text


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)")


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Prometheus' text format, read strictly: each metric described, typed, and together.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    found: dict[str, dict[str, float]] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            now = line.split(" ")[2]
            assert now not in kinds
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == now
            kinds[now] = line.split(" ")[3]
            assert kinds[now] in ("counter", "gauge", "histogram")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            ends = ("_bucket", "_sum", "_count") if kinds[now] == "histogram" else ("",)
            assert name in [now + end for end in ends]
            assert labels not in found.setdefault(name, {})
            found[name][labels] = float(value)
    return found


def test_metrics_are_read_by_the_grammar_of_prometheus(open_server: Any) -> None:
    strange = 'a "quoted" \\ name\nof two lines'
    with open_server({strange: Saying(Piece("a")), "m": Saying(Piece("a"), Piece("b"))}) as url:
        for model in ("m", strange, "m"):
            httpx2.post(f"{url}/v1/chat/completions", json=ASK | {"model": model}).raise_for_status()
        found = parsed(httpx2.get(f"{url}/metrics").text)
    assert sorted(found["hftrain_answer_tokens_total"].values()) == [1, 4]
    assert found["hftrain_prompt_tokens_total"]['model="m"'] == 6
    assert found["hftrain_answer_seconds_count"]['model="m"'] == 2
    buckets = [value for labels, value in found["hftrain_answer_seconds_bucket"].items() if 'model="m"' in labels]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert found["hftrain_requests_total"]['route="/v1/chat/completions",status="200"'] == 3


def test_what_threads_put_in_comes_out_in_order_with_one_call_for_many() -> None:
    async def take() -> tuple[list[int], int]:
        loop, taken, calls = asyncio.get_running_loop(), [], 0
        inbox: Inbox[int] = Inbox(loop)
        wake = loop.call_soon_threadsafe

        def counted(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            return wake(*given)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        for number in range(100):
            inbox.put(taken.append, number)
        await asyncio.sleep(0)
        inbox.put(taken.append, 100)
        await asyncio.sleep(0.01)
        return taken, calls

    assert asyncio.run(take()) == (list(range(101)), 2)
