"""The page, the log and the limits before servers that others wrote: `transformers serve` and llama.cpp's own."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from hftrain.errors import ConfigError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import load_causal_lm
from hftrain.serving.engine_upstream import UpstreamEngine
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.server_models import offered
from hftrain.tokens.chat import load_tokenizer

pytestmark = pytest.mark.slow
TALK = [{"role": "user", "content": "Hello! Who are you?"}]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def transformers_serve(speaking_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and model of a `transformers serve` of the run's policy."""
    program = Path(sys.executable).with_name("transformers")
    if importlib.util.find_spec("fastapi") is None or not program.is_file():
        pytest.skip("transformers serve is not installed: pip install 'transformers[serving]'")
    home, port, model = tmp_path_factory.mktemp("home"), free_port(), str((speaking_run / "policy").resolve())
    (home / "hub").mkdir()  # without it, asking for its models is an error
    words = [str(program), "serve", model, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    log = (home / "log").open("wb")
    server = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | {"HF_HOME": str(home)})
    try:
        until = time.monotonic() + 180
        while time.monotonic() < until and server.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                    break
            time.sleep(0.3)
        else:
            pytest.fail((home / "log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}/v1", model
    finally:
        server.terminate()
        server.wait(60)
        log.close()


@pytest.fixture(scope="module")
def llama_server(speaking_run: Path) -> Iterator[tuple[str, str]]:
    """Address and model of llama.cpp's server in its Python wheel, as it comes."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: pip install 'hftrain[gguf]'")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(speaking_run / "export" / "gguf-f16" / "model.gguf")
    parameters.n_parallel, parameters.n_ctx, parameters.verbosity = 4, 512, -1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.port = free_port()
    server = xllamacpp.Server(parameters)
    server.handle_completions({"prompt": [1], "max_tokens": 1})
    yield f"{server.listening_address}/v1", "model.gguf"
    del server


UPSTREAMS = ("transformers_serve", "llama_server")


@pytest.mark.parametrize("name", UPSTREAMS)
def test_answers_of_another_server_come_through_the_api_and_into_the_log(
    request: pytest.FixtureRequest, open_server: Any, tmp_path: Path, speaking_run: Path, name: str
) -> None:
    address, model = request.getfixturevalue(name)
    loaded, tokenizer = load_causal_lm(speaking_run / "policy"), load_tokenizer(speaking_run / "policy")
    [[expected]] = answer_prompts(loaded, tokenizer, [TALK], new_tokens=12, temperature=0, seed=0)
    file = f"sqlite:///{tmp_path / 'kept.sqlite3'}"
    asked: dict[str, Any] = {"model": "behind", "messages": TALK, "temperature": 0, "max_tokens": 12}
    with (
        open_server({"behind": UpstreamEngine(address, model, None)}, store=InteractionStore(file)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        whole = client.chat.completions.create(**asked)
        streamed = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(stream=True, **asked)
            if chunk.choices
        )
        said = httpx2.post(f"{url}/v1/feedback", json={"interaction": whole.id, "thumb": 1})
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**asked | {"model": model})
    assert whole.choices[0].message.content == streamed == expected.text
    assert whole.usage.completion_tokens in (len(expected.tokens), len(expected.tokens) - 1)
    assert said.status_code == 200
    store = InteractionStore(file)
    assert [(each.answers[0], each.runtime, each.model) for each in store.interactions()] == [
        (expected.text, "upstream", "behind")
    ] * 2
    assert [each.interaction for each in store.feedback()] == [whole.id]
    store.close()


@pytest.mark.parametrize("name", UPSTREAMS)
def test_another_server_lists_its_models_or_they_are_named(request: pytest.FixtureRequest, name: str) -> None:
    address, model = request.getfixturevalue(name)
    try:
        [served] = offered(Path("nowhere"), [], [address], None, 8)
        assert served.name
    except ConfigError as problem:
        assert "--upstream-model" in str(problem)
    assert [each.name for each in offered(Path("nowhere"), [], [address], model, 8)] == [model]


@pytest.mark.parametrize("name", UPSTREAMS)
def test_a_person_talks_to_another_server_on_the_page(
    request: pytest.FixtureRequest, open_server: Any, tmp_path: Path, name: str
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here")
    address, model = request.getfixturevalue(name)
    file = f"sqlite:///{tmp_path / 'kept.sqlite3'}"
    with (
        open_server({"behind": UpstreamEngine(address, model, None)}, store=InteractionStore(file)) as url,
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        page.click("#settings")
        page.fill("#longest", "12")
        page.keyboard.press("Escape")
        page.fill("#say", "Hello!")
        page.keyboard.press("Enter")
        page.click('[aria-label="Good answer"]')
        page.wait_for_selector(".saved:has-text('Saved')")
        text = page.locator(".assistant .text").inner_text()
        browser.close()
    store = InteractionStore(file)
    (kept,) = store.interactions()
    assert [each.thumb for each in store.feedback()] == [1]
    assert kept.answers[0].strip() == text.strip()
    store.close()
