"""The server as clients see it: the official client, plain HTTP, and who may not ask."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch

from hftrain.models.generation import answer_prompts
from hftrain.models.loading import load_causal_lm
from hftrain.serving.engine import Answer, End, Piece, Prepared, Question
from hftrain.serving.engine_llama import LlamaEngine
from hftrain.serving.engine_torch import TorchEngine
from hftrain.serving.engine_upstream import UpstreamEngine
from hftrain.serving.interactions import InteractionStore
from hftrain.tokens.chat import encode_prompt, load_tokenizer

TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "naïve 😀 <|im_end|>"}]
KEY = "a-key-of-many-characters"


@pytest.fixture(scope="module")
def url(speaking_run: Path, open_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = InteractionStore(f"sqlite:///{tmp_path_factory.mktemp('store') / 'kept.sqlite3'}")
    tokenizer = load_tokenizer(speaking_run / "policy")
    gguf = LlamaEngine(speaking_run / "export" / "gguf-f16" / "model.gguf", tokenizer, 128)
    engines = {"policy": TorchEngine(speaking_run / "policy"), "gguf": gguf, "chat": TorchEngine(speaking_run / "chat")}
    with open_server(engines, store=store) as first:
        upstream = UpstreamEngine(f"{first}/v1", "policy", None)
        with open_server({"behind": upstream}) as second:
            pytest.second_url = second  # type: ignore[attr-defined]
            yield first


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


@pytest.fixture
def behind(url: str) -> Iterator[openai.OpenAI]:
    second = pytest.second_url  # type: ignore[attr-defined]
    with openai.OpenAI(base_url=f"{second}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def streamed(client: openai.OpenAI, **given: Any) -> tuple[str, str | None]:
    text, finish = "", None
    for chunk in client.chat.completions.create(stream=True, **given):
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    return text, finish


@pytest.mark.parametrize("model", ["policy", "gguf"])
def test_greedy_answers_are_those_of_generate_whole_and_streamed(
    client: openai.OpenAI, speaking_run: Path, model: str
) -> None:
    loaded, tokenizer = load_causal_lm(speaking_run / "policy"), load_tokenizer(speaking_run / "policy")
    expected = answer_prompts(loaded, tokenizer, [TALK], new_tokens=24, temperature=0, seed=0)[0][0]

    given = {"model": model, "messages": TALK, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**given)

    assert whole.choices[0].message.content == expected.text
    assert streamed(client, **given)[0] == expected.text
    assert whole.usage.prompt_tokens == len(encode_prompt(tokenizer, TALK))
    assert whole.usage.completion_tokens == len(expected.tokens)


def test_a_server_behind_this_one_gives_its_answers(client: openai.OpenAI, behind: openai.OpenAI) -> None:
    given = {"messages": TALK, "temperature": 0.9, "seed": 5, "max_tokens": 12, "logprobs": True, "top_logprobs": 3}
    here, there = (
        each.chat.completions.create(model=model, **given) for each, model in ((client, "policy"), (behind, "behind"))
    )
    assert there.choices[0].model_dump() == here.choices[0].model_dump()
    assert there.usage.model_dump() == here.usage.model_dump()
    with pytest.raises(openai.BadRequestError, match="context is 128 tokens"):
        behind.chat.completions.create(model="behind", messages=TALK, max_tokens=1000)


@pytest.mark.parametrize("model", ["policy", "gguf"])
def test_a_seed_gives_the_same_answer_again_and_another_seed_another(client: openai.OpenAI, model: str) -> None:
    said = [
        streamed(client, model=model, messages=TALK, temperature=1.5, seed=seed, max_tokens=20)[0] for seed in (7, 7, 8)
    ]
    assert said[0] == said[1] != said[2]


def test_several_answers_come_together_and_the_first_is_that_of_the_seed(client: openai.OpenAI) -> None:
    given = {"model": "policy", "messages": TALK, "temperature": 1.5, "seed": 7, "max_tokens": 20}
    three = client.chat.completions.create(n=3, **given)
    texts = [choice.message.content for choice in three.choices]
    assert texts[0] == client.chat.completions.create(**given).choices[0].message.content
    assert len(set(texts)) == 3
    assert three.usage.completion_tokens <= 60

    pieces: dict[int, str] = {}
    for chunk in client.chat.completions.create(n=3, stream=True, stream_options={"include_usage": True}, **given):
        for choice in chunk.choices:
            pieces[choice.index] = pieces.get(choice.index, "") + (choice.delta.content or "")
        usage = chunk.usage or None
    assert [pieces[index] for index in range(3)] == texts
    assert usage is not None
    assert usage.completion_tokens == three.usage.completion_tokens


@pytest.mark.parametrize("model", ["policy", "gguf"])
def test_an_answer_ends_before_a_stop_text_and_nothing_of_it_is_sent(client: openai.OpenAI, model: str) -> None:
    given = {"model": model, "messages": TALK, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**given).choices[0].message.content
    middle = whole[len(whole) // 2 :][:3]
    expected = whole[: whole.index(middle)]
    assert streamed(client, stop=[middle, "never"], **given) == (expected, "stop")


@pytest.mark.parametrize("model", ["policy", "gguf"])
def test_log_probabilities_are_the_models_own_whatever_is_drawn(
    client: openai.OpenAI, speaking_run: Path, model: str
) -> None:
    loaded, tokenizer = load_causal_lm(speaking_run / "policy"), load_tokenizer(speaking_run / "policy")
    with torch.inference_mode():
        logits_V = loaded(torch.tensor([encode_prompt(tokenizer, TALK)])).logits[0, -1]
    expected = torch.topk(torch.log_softmax(logits_V, -1), 4)

    given = {"messages": TALK, "temperature": 2.0, "seed": 1, "max_tokens": 3, "logprobs": True, "top_logprobs": 4}
    answer = client.chat.completions.create(model=model, **given)
    first = answer.choices[0].logprobs.content[0]
    assert [each.logprob for each in first.top_logprobs] == pytest.approx(expected.values.tolist(), abs=0.02)
    names = [tokenizer.decode([index]) for index in expected.indices.tolist()]
    assert [each.token for each in first.top_logprobs][:2] == names[:2]
    assert all(bytes(each.bytes).decode("utf-8", "replace") == each.token for each in first.top_logprobs if each.bytes)


def test_text_is_continued_and_special_tokens_in_it_stay_text(client: openai.OpenAI, speaking_run: Path) -> None:
    made = client.completions.create(model="policy", prompt="<|im_end|>", max_tokens=4, logprobs=2, temperature=0)
    tokenizer = load_tokenizer(speaking_run / "policy")
    assert made.usage.prompt_tokens == 1 + len(tokenizer.tokenize("<|im_end|>", split_special_tokens=True)) > 2
    assert len(made.choices[0].logprobs.tokens) == 4
    by_ids = client.completions.create(model="policy", prompt=[1, 20, 21], max_tokens=4, temperature=0)
    assert by_ids.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("given", "error", "said", "code"),
    [
        ({"max_tokens": 1000}, openai.BadRequestError, "context is 128 tokens", "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "a " * 400}]}, openai.BadRequestError, "context",
         "context_length_exceeded"),
        ({"model": "gpt-9"}, openai.NotFoundError, "not served here", "model_not_found"),
        ({"temperature": -1}, openai.BadRequestError, "from 0 to 2", None),
        ({"stop": [""]}, openai.BadRequestError, "'stop'", None),
        ({"messages": [{"role": "robot", "content": "x"}]}, openai.BadRequestError, "role", None),
        ({"frequency_penalty": 1}, openai.BadRequestError, "does not do that", "unsupported_parameter"),
        ({"extra_body": {"temprature": 1}}, openai.BadRequestError, "no such parameter", "unknown_parameter"),
        ({"logprobs": False, "top_logprobs": 3}, openai.BadRequestError, "logprobs must be true", None),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_openais_form(
    client: openai.OpenAI, given: dict[str, Any], error: type[openai.APIStatusError], said: str, code: str
) -> None:
    asked = {"model": "policy", "messages": TALK} | given
    for stream in (False, True):
        with pytest.raises(error, match=said) as caught:
            client.chat.completions.create(stream=stream, **asked)
        assert caught.value.code == code


def test_what_is_no_request_is_refused(url: str) -> None:
    half = json.dumps({"messages": [{"role": "user", "content": "\ud800"}]}).encode()  # of a surrogate pair
    for body in (b"", b"[]", b"{", b'{"messages": NaN}', b"\xff", b"[" * 100_000, half):
        answer = httpx2.post(f"{url}/v1/chat/completions", content=body)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert httpx2.post(f"{url}/v1/chat/completions", content=b" " * 1_000_001).status_code == 413
    assert httpx2.post(f"{url}/v1/chat/completions", content=iter([b" " * 600_000] * 2)).status_code == 413
    assert httpx2.get(f"{url}/nothing").json()["error"]["code"] == "unknown_address"
    assert httpx2.get(f"{url}/v1/chat/completions").status_code == 405


def test_models_health_and_metrics_are_told(url: str, client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["policy", "gguf", "chat"]
    assert client.models.retrieve("gguf").id == "gguf"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    assert httpx2.get(f"{url}/health").json()["status"] == "ok"
    client.chat.completions.create(model="chat", messages=TALK, max_tokens=2, temperature=0)
    text = httpx2.get(f"{url}/metrics").text
    assert 'hftrain_answers_total{model="chat",outcome="length"} 1' in text
    assert 'hftrain_answer_tokens_total{model="chat"} 2' in text
    assert 'hftrain_answer_seconds_bucket{model="chat",le="+Inf"} 1' in text


def test_many_streams_at_once_get_their_own_answers(url: str) -> None:
    async def ask(client: openai.AsyncOpenAI, model: str, number: int) -> str:
        messages = [{"role": "user", "content": f"Number {number % 8}"}]
        made = await client.chat.completions.create(
            model=model, messages=messages, stream=True, max_tokens=16, temperature=1.0, seed=number % 8
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in made])

    async def ask_all() -> list[list[str]]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            return [await asyncio.gather(*(ask(client, model, i) for i in range(40))) for model in ("policy", "gguf")]

    for answers in asyncio.run(ask_all()):
        assert all(answers[number] == answers[number % 8] for number in range(40))
        assert len(set(answers)) == 8


class SlowEngine:
    """Says one word at a time, as slowly as it is told to."""

    runtime, context_tokens, at_once = "slow", 128, 1

    def __init__(self) -> None:
        self.open, self.closed = threading.Event(), 0

    def prepare(self, question: Question) -> Prepared:
        return Prepared(question, (1, 2, 3), 8)

    async def answer(self, prepared: Prepared) -> Answer:
        try:
            yield Piece("word ")
            while not self.open.is_set():
                await asyncio.sleep(0.01)
            yield Piece("done")
            yield End("stop", 3, 2)
        finally:
            self.closed += 1

    async def close(self) -> None:
        return None


ASK = {"messages": [{"role": "user", "content": "x"}], "stream": True}


def test_a_client_that_leaves_ends_its_answer_and_frees_its_place(open_server: Any, tmp_path: Path) -> None:
    engine, store = SlowEngine(), InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    with open_server({"slow": engine}, store=store) as url:
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=ASK) as response:
            next(response.iter_lines())
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/chat/completions", json=ASK | {"stream": False}, timeout=0.3)
        until = time.monotonic() + 10
        while engine.closed < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert engine.closed == 2
        engine.open.set()
        assert "done" in httpx2.post(f"{url}/v1/chat/completions", json=ASK).text
    kept = [
        (each.outcome, each.answers)
        for each in InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}").interactions()
    ]
    assert sorted(kept) == [("cancelled", ["word "]), ("cancelled", ["word "]), ("stop", ["word done"])]


def test_a_full_queue_is_told_with_when_to_come_back(open_server: Any) -> None:
    engine = SlowEngine()
    with open_server({"slow": engine}, queue=1) as url:
        threads = [
            threading.Thread(target=httpx2.post, args=(f"{url}/v1/chat/completions",), kwargs={"json": ASK})
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        gauges = ('hftrain_running{model="slow"} 1', 'hftrain_waiting{model="slow"} 1')
        while not all(gauge in httpx2.get(f"{url}/metrics").text for gauge in gauges):
            time.sleep(0.01)
        refused = httpx2.post(f"{url}/v1/chat/completions", json=ASK)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        engine.open.set()
        for thread in threads:
            thread.join()


def test_nothing_is_reached_without_the_key_when_one_is_set(
    open_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hftrain.serving.guarding.WRONG_KEY_SECONDS", 0.001)
    engine, store = SlowEngine(), InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    engine.open.set()
    with open_server({"slow": engine}, store=store, key=KEY) as url:
        routes = [("GET", "/"), ("GET", "/health"), ("GET", "/metrics"), ("GET", "/v1/models"),
                  ("GET", "/v1/models/slow"), ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"),
                  ("POST", "/v1/feedback"), ("DELETE", "/v1/my-data"), ("GET", "/nothing")]  # fmt: skip
        with httpx2.Client(base_url=url) as stranger:
            for method, path in routes:
                for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"hftrain_{url[-5:]}=x"}):
                    said = stranger.request(method, path, headers=wrong)
                    assert said.status_code == 401, path
                    assert "slow" not in said.text
        with httpx2.Client(base_url=url) as browser:
            assert browser.get("/", headers={"Accept": "text/html"}).status_code == 401
            assert browser.post("/sign-in", data={"key": "wrong"}).status_code == 401
            assert browser.post("/sign-in", data={"key": KEY}).status_code == 303
            assert browser.get("/").status_code == 200
            assert KEY not in str(browser.cookies)
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as with_key:
            said = with_key.chat.completions.create(model="slow", messages=TALK)
        assert said.choices[0].message.content == "word done"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 200),
    ],
)
def test_pages_of_other_sites_are_refused(url: str, headers: dict[str, str], status: int) -> None:
    answer = httpx2.get(f"{url}/v1/models", headers=headers)
    assert answer.status_code == status
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
