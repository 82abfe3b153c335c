"""What nobody waits for any more is not computed."""

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.serving.engine import Engine, Question
from hftrain.serving.engine_llama import LlamaEngine
from hftrain.serving.engine_torch import Draws, TorchEngine
from hftrain.tokens.chat import load_tokenizer

LONG = Question(messages=({"role": "user", "content": "Hello!"},), temperature=1.0, seed=0)


def leave_after_two_pieces(engine: Engine) -> None:
    async def ask() -> None:
        async with aclosing(engine.answer(engine.prepare(LONG))) as pieces:
            await anext(pieces)
            await anext(pieces)
        await asyncio.sleep(0.5)
        await engine.close()

    asyncio.run(ask())


def test_torch_draws_no_more_tokens_for_a_client_that_left(speaking_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = Draws.draw

    def counted(draws: Draws, logits_V: torch.Tensor) -> int:
        drawn.append(1)
        time.sleep(0.01)
        return max(4, draw(draws, logits_V))  # no end of turn

    monkeypatch.setattr(Draws, "draw", counted)
    engine = TorchEngine(speaking_run / "policy")
    leave_after_two_pieces(engine)
    assert 2 <= len(drawn) < 30
    assert engine._router.waiting == {}


@pytest.mark.parametrize(("bytes_per_thread", "threads"), [(10**9, 1), (1, 3)])
def test_a_model_takes_as_many_threads_as_it_has_work_for_and_others_keep_theirs(
    speaking_run: Path, monkeypatch: pytest.MonkeyPatch, bytes_per_thread: int, threads: int
) -> None:
    seen, draw = set(), Draws.draw

    def noted(draws: Draws, logits_V: torch.Tensor) -> int:
        seen.add(torch.get_num_threads())
        return draw(draws, logits_V)

    monkeypatch.setattr(Draws, "draw", noted)
    monkeypatch.setattr("hftrain.serving.engine_torch.MOST_THREADS", 3)
    monkeypatch.setattr("hftrain.runtime.BYTES_PER_THREAD", bytes_per_thread)
    ours = torch.get_num_threads()
    leave_after_two_pieces(TorchEngine(speaking_run / "policy"))
    assert seen == {threads}
    assert torch.get_num_threads() == ours


class EndlessServer:
    """llama.cpp's server as the engine sees it, that writes until it is told to stop."""

    def __init__(self) -> None:
        self.chunks, self.was_stopped = 0, False

    def handle_completions(self, request: bytes, take: Any) -> None:
        while self.chunks < 1000 and not self.was_stopped:
            time.sleep(0.005)
            self.chunks += 1
            self.was_stopped = take(b'{"choices": [{"text": "on ", "finish_reason": null}]}')


def test_llama_is_told_to_stop_for_a_client_that_left(speaking_run: Path) -> None:
    file = speaking_run / "export" / "gguf-f16" / "model.gguf"
    engine = LlamaEngine(file, load_tokenizer(speaking_run / "policy"), 128)
    engine._server = server = EndlessServer()
    leave_after_two_pieces(engine)
    assert server.was_stopped
    assert server.chunks < 50


def test_llama_ends_though_nobody_asked_it_anything(speaking_run: Path) -> None:
    file, tokenizer = speaking_run / "export" / "gguf-f16" / "model.gguf", speaking_run / "policy"
    script = (
        "from pathlib import Path\n"
        "from hftrain.serving.engine_llama import LlamaEngine\n"
        "from hftrain.tokens.chat import load_tokenizer\n"
        f"tokenizer = load_tokenizer(Path({str(tokenizer)!r}))\n"
        f"for _ in range(12): LlamaEngine(Path({str(file)!r}), tokenizer, 128)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_process_ends_although_nobody_closed_its_engine(speaking_run: Path) -> None:
    code = (
        "from pathlib import Path; from hftrain.serving.engine_torch import TorchEngine; "
        f"TorchEngine(Path({str(speaking_run / 'policy')!r})); print('made')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("made\n", 0), done.stderr
