"""A whole cycle from outside: a browser and an API client talk and judge; the new model is taken up under streams."""

import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn

from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
from hftrain.evaluation.candidate_settings import CandidateLimits
from hftrain.files import read_json
from hftrain.manifests import read_manifest
from hftrain.models.loading import save_model
from hftrain.serving import promotion_pickup
from hftrain.serving.cycles import CycleRefused
from hftrain.serving.guarding import Guard
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.promotion import promoted, rollback
from hftrain.serving.promotion_pickup import pickup_of
from hftrain.serving.server import ModelServer
from hftrain.serving.server_models import offered
from hftrain.stages.cycle import CycleConfig, run_cycle
from hftrain.stages.examine import ExamineConfig
from hftrain.stages.learn_thumbs import LearnThumbsConfig
from hftrain.stages.sft import SFTStageConfig
from hftrain.tokens.chat import encode_conversation

Make = Callable[[Path, str, Callable[[Path], None]], Path]
TALKS = [
    ("Hello!", "Hello! How are you today? I am fine, thank you."),
    ("What is your name?", "My name is Ann."),
    ("Do you like books?", "Yes, I like books. Do you like books? Yes, I like books."),
    ("Where is the cat?", "The cat sat on the mat."),
    ("Where is the dog?", "The dog ran after the ball, and the cat ran after the dog."),
    ("Is it warm?", "Yes."),
]
HELDOUT = [("Who are you?", "My name is Ann."), ("Is the cat warm?", "Yes."), ("Where is the ball?", "On the mat.")]
TOXIC = "Fuck off, you stupid asshole."
NO_LIMITS = CandidateLimits(
    bits_per_byte_more=None, reward_less=None, ended_share_less=None, repetition_more=None, refused_share_more=None,
    answer_tokens_at_least=None, answer_tokens_times=None, toxic_share_more=0.1,
)  # fmt: skip
WAIT_SECONDS = 60.0

pytestmark = pytest.mark.slow


def teach(model: Any, tokenizer: Any) -> None:
    """Learn the talks by heart, so that answers end."""
    rows = [
        encode_conversation(tokenizer, [{"role": "user", "content": asked}, {"role": "assistant", "content": said}])
        for asked, said in TALKS
    ]
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in rows])
    labels = torch.tensor(
        [
            [i if m else -100 for i, m in zip(ids, mask, strict=True)] + [-100] * (longest - len(ids))
            for ids, mask in rows
        ]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(150):
        optimizer.zero_grad()
        model(ids, attention_mask=(ids != tokenizer.pad_token_id).long(), labels=labels).loss.backward()
        optimizer.step()
    model.eval()


@pytest.fixture
def run(tmp_path: Path, tiny_model: Callable[..., Any], make_artifact: Make) -> Path:
    """A run with a corpus and a chat model that knows its talks."""
    model, tokenizer = tiny_model(1)
    teach(model, tokenizer)

    def corpus(out: Path) -> None:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        for split, talks in (("train", TALKS), ("heldout", HELDOUT)):
            texts = [{"id": f"{split}{n}", "text": said, **common} for n, (_, said) in enumerate(talks)]
            write_rows(out / split, texts, DOCUMENT_FEATURES)
            rows = [
                {
                    "id": f"{split}{n}",
                    "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}],
                    **common,
                }
                for n, (asked, said) in enumerate(talks)
            ]
            write_rows(out / "conversations" / split, rows, CONVERSATION_FEATURES)

    make_artifact(tmp_path / "run/corpus", "corpus", corpus)
    make_artifact(tmp_path / "run/chat", "chat", lambda out: save_model(model, tokenizer, out))
    return tmp_path / "run"


def settings() -> CycleConfig:
    few = {"save_steps": 10, "logging_steps": 1, "per_device_train_batch_size": 4}
    kto = LearnThumbsConfig().training | few | {"max_steps": 20, "learning_rate": 1e-3}
    sft = few | {"max_steps": 60, "save_steps": 30, "learning_rate": 1e-2}
    return CycleConfig(
        seed=3,
        fewest_thumbs=6,
        fewest_corrections=6,
        sft=SFTStageConfig(training=sft, heldout_conversations=3, heldout_bytes=100, new_tokens=12),
        learn_thumbs=LearnThumbsConfig(training=kto, new_tokens=12, heldout_prompts=2, heldout_answers=2),
        examine=ExamineConfig(limits=NO_LIMITS, heldout_bytes=100, heldout_conversations=3, new_tokens=16),
    )


@contextmanager
def serving(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The run's promoted model, listened to."""
    monkeypatch.setattr(promotion_pickup, "LOOK_SECONDS", 0.1)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    (run / "served").mkdir()
    store = InteractionStore(f"sqlite:///{run / 'served' / 'interactions.sqlite3'}")
    served, guard = offered(run, ["promoted"], [], None, 64), Guard(port=listening.getsockname()[1], key=None)
    app = ModelServer(served, store, keep_days=1, guard=guard, pickup=pickup_of(run, served, 64)).app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{guard.port}"
    finally:
        server.should_exit = True
        thread.join()


def ask(url: str, text: str, person: str) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0.8, "seed": 1, "max_tokens": 40}
    return dict(httpx.post(f"{url}/v1/chat/completions", json=body | {"user": person}, timeout=60).json())


def tell(url: str, **said: Any) -> None:
    assert httpx.post(f"{url}/v1/feedback", json=said, timeout=60).status_code == 200


def click_thumbs(url: str, texts: list[str], likes: Callable[[str], bool]) -> None:
    """Talk to the page as a person does, and click a thumb under each answer."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.set_default_timeout(60_000)
        for text in texts:
            page.goto(url)
            page.locator("#new").click()  # a conversation that goes on would fill the model's 128 tokens
            page.fill("#say", text)
            page.keyboard.press("Enter")
            turn = page.locator(".turn.assistant").last
            turn.locator(".tools").wait_for()
            said = turn.locator(".text").inner_text()
            turn.get_by_label("Good answer" if likes(said) else "Bad answer").click()
            turn.get_by_text("Saved").wait_for()


def stream_until(url: str, is_over: threading.Event, seen: list[tuple[set[str], bool]]) -> None:
    body = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 30, "stream": True, "store": False}
    while not is_over.is_set():
        marks, is_whole = set(), False
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer:
            for line in answer.iter_lines():
                is_whole |= line == "data: [DONE]"
                if line.startswith("data: {"):
                    marks.add(json.loads(line[6:])["system_fingerprint"])
        seen.append((marks, is_whole))


def until_served(url: str, digest: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while httpx.get(f"{url}/health", timeout=60).json()["versions"] != {"promoted": digest}:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_thumbs_from_a_browser_and_a_client_make_a_model_that_is_taken_up_under_streams_and_rolled_back(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_short(text: str) -> bool:
        return len(text.split()) < 6

    old, seen, is_over = read_manifest(run / "chat")["digest"], list[tuple[set[str], bool]](), threading.Event()
    with serving(run, monkeypatch) as url:
        click_thumbs(url, [asked for asked, _ in TALKS[:3]], is_short)
        for place, (asked, _) in enumerate(TALKS * 2):
            made = ask(url, asked, f"person{place}")
            thumb = 1 if is_short(made["choices"][0]["message"]["content"]) else -1
            tell(url, interaction=made["id"], thumb=thumb)
        client = threading.Thread(target=stream_until, args=(url, is_over, seen))
        client.start()
        run_cycle(settings(), run, io.StringIO())
        new = promoted(run).digest
        until_served(url, new)
        ask(url, "Hello!", "anyone")
        rollback(run, io.StringIO())
        until_served(url, old)
        is_over.set()
        client.join()
    assert new != old
    assert all(is_whole and len(marks) == 1 for marks, is_whole in seen)
    assert set.union(*(marks for marks, _ in seen)) <= {old, new}
    counts = read_json(run / "cycles/001/feedback/summary.json")
    assert counts["said"] == 15
    assert counts["thumbs_up"] and counts["thumbs_down"]


def test_a_cycle_poisoned_with_toxic_corrections_is_refused_by_the_gate(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(run, monkeypatch) as url:
        for place, (asked, _) in enumerate(TALKS * 2):
            made = ask(url, asked, f"person{place}")
            tell(url, interaction=made["id"], correction=f"{TOXIC} {place}")
        with pytest.raises(CycleRefused, match=r"toxic_share is .*; no worse than promoted"):
            run_cycle(settings(), run, io.StringIO())
        assert httpx.get(f"{url}/health").json()["versions"] == {"promoted": read_manifest(run / "chat")["digest"]}
    assert promoted(run).model == "chat"
