"""Answers from a GGUF file by llama.cpp, in this process, through the ``xllamacpp`` wheel: many at once."""

import asyncio
import json
import math
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xllamacpp
from transformers import PreTrainedTokenizerFast

from hftrain.errors import ArtifactError
from hftrain.export.measurement import end_tokens
from hftrain.runtime import threads_for
from hftrain.serving.engine import Answer, Candidate, End, Piece, Prepared, Question, Refused, Report
from hftrain.serving.engine_inbox import Inbox, all_waiting, apart
from hftrain.serving.engine_text import MOST_THREADS, TokenTexts

CACHE_TOKENS = 65_536
"""Tokens of all conversations that llama.cpp holds at once: fewer of them where a context is long."""

MOST_AT_ONCE = 32

LEAST_LOGPROB = -9999.0
"""What OpenAI's API says of a token that cannot come."""


class LlamaEngine:
    """A GGUF file in llama.cpp, with one place for each answer that it makes at the same time."""

    runtime = "llama.cpp"

    def __init__(self, file: Path, tokenizer: PreTrainedTokenizerFast, context_tokens: int) -> None:
        """Load a file.

        Args:
            file: The GGUF file.
            tokenizer: That of the model which the file was made from: prompts are encoded as in training.
            context_tokens: The model's context.

        Raises:
            ArtifactError: llama.cpp cannot load it.
        """
        self.context_tokens = context_tokens
        self.at_once = max(1, min(MOST_AT_ONCE, CACHE_TOKENS // context_tokens))
        self._texts = TokenTexts(tokenizer, context_tokens)
        self._ends = end_tokens(tokenizer)
        try:
            self._server = xllamacpp.Server(_parameters(file, self.at_once, context_tokens))
        except RuntimeError as problem:
            raise ArtifactError(
                f"{file}: llama.cpp does not load it ({problem}). A whole GGUF file of a type that it knows is needed. "
                "Export again, or serve another model by --model."
            ) from None
        # xllamacpp 2026.10 waits for ever where a server ends that has not begun to answer: it answers once.
        first = {"prompt": [min(self._ends)], "max_tokens": 1, "temperature": 0.0, "cache_prompt": False}
        self._server.handle_completions(first)
        self._threads = ThreadPoolExecutor(self.at_once, thread_name_prefix="llama")
        self._inbox: Inbox[bytes | None] | None = None

    def prepare(self, question: Question) -> Prepared:
        """As `Engine.prepare`."""
        return self._texts.prepare(question)

    async def answer(self, prepared: Prepared) -> Answer:
        """As `Engine.answer`."""
        loop = asyncio.get_running_loop()
        if self._inbox is None or self._inbox.loop is not loop:
            self._inbox = Inbox(loop)
        running = _Running(self._inbox)
        work = loop.run_in_executor(self._threads, running.run, self._server, _request(prepared))
        try:
            while True:
                came = await all_waiting(running.chunks)
                for some in apart([chunk for chunk in came if chunk is not None], prepared.question):
                    piece, end = self._understood(some, prepared)
                    if piece.text or piece.reports:
                        yield piece
                    if end is not None:
                        yield end
                        return
                if None in came:
                    await work  # raises what ended it without a last chunk
                    raise _failed("llama.cpp ended the answer.")
        finally:
            running.is_over = True

    def _understood(self, chunks: Sequence[bytes], prepared: Prepared) -> tuple[Piece, End | None]:
        """What came together as one piece, and the end if it is there."""
        texts, end = [], None
        reports: list[Report] = []
        for chunk in map(json.loads, chunks):
            if "error" in chunk:
                raise _failed(chunk["error"]["message"])
            choice = chunk["choices"][0]
            texts.append(choice["text"])
            reports += self._reports(choice, prepared.question.top_logprobs)
            if choice["finish_reason"]:
                end = End(choice["finish_reason"], len(prepared.ids), chunk["usage"]["completion_tokens"])
        return Piece("".join(texts), tuple(reports), len(texts) - (end is not None)), end

    def _reports(self, choice: dict[str, Any], top_logprobs: int | None) -> tuple[Report, ...]:
        """What llama.cpp says of the steps; it says nothing of a token that ends inside a character."""
        if top_logprobs is None:
            return ()
        said = (choice.get("logprobs") or {"content": []})["content"]
        return tuple(
            Report(self._candidate(each), tuple(self._candidate(one) for one in each["top_logprobs"][:top_logprobs]))
            for each in said
            if each["id"] not in self._ends
        )

    def _candidate(self, said: dict[str, Any]) -> Candidate:
        text = said["token"] or self._texts.tokenizer.convert_ids_to_tokens(said["id"])  # a special token's name
        logprob = said["logprob"] if math.isfinite(said["logprob"]) else LEAST_LOGPROB
        return Candidate(text, tuple(said["bytes"]), logprob)

    async def close(self) -> None:
        """End the server and its threads."""
        await asyncio.to_thread(self._threads.shutdown)  # answers that nobody waits for end with their next token
        del self._server


class _Running:
    """One answer between the thread in which llama.cpp makes it and the loop."""

    def __init__(self, inbox: Inbox[bytes | None]) -> None:
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_over = False
        self._inbox = inbox

    def run(self, server: Any, request: bytes) -> None:
        """Make it, to the end or until nobody waits for it."""
        try:
            server.handle_completions(request, self._take)
        finally:
            if not self.is_over:
                self._inbox.put(self.chunks.put_nowait, None)

    def _take(self, chunk: bytes) -> bool:
        """Hand a chunk to the loop; true tells llama.cpp to stop."""
        if not self.is_over:
            self._inbox.put(self.chunks.put_nowait, chunk)
        return self.is_over


def _parameters(file: Path, at_once: int, context_tokens: int) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    threads = threads_for(file.stat().st_size, MOST_THREADS)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_parallel, parameters.n_ctx = at_once, at_once * context_tokens
    parameters.fit_params = False  # it would shorten the context where memory is short
    parameters.warmup = parameters.ui = parameters.endpoint_slots = False
    parameters.cache_ram_mib = 0  # a place keeps its last conversation; more would only grow
    parameters.verbosity = -1
    parameters.api_keys = [secrets.token_hex(16)]  # the wheel listens on a loopback port, which is for nobody
    return parameters


def _failed(why: str) -> Refused:
    return Refused(why, status=500, kind="server_error", code="runtime_failed")


def _request(prepared: Prepared) -> bytes:
    """The request in llama.cpp's names, with all that it would do by default to the probabilities switched off.

    Bytes are answered in bytes, which wait unread until the loop has time for all that came together.
    """
    question = prepared.question
    request: dict[str, Any] = {
        "prompt": list(prepared.ids),
        "max_tokens": prepared.new_tokens,
        "stream": True,
        "temperature": question.temperature,
        "top_p": question.top_p,
        "samplers": ["temperature", "top_p"],
        "cache_prompt": True,
        "seed": secrets.randbits(31) if question.seed is None else question.seed % 2**32,
    }
    if question.temperature == 0:
        request["samplers"] = ["top_k"]
        request["top_k"] = 1
    if question.top_logprobs is not None:
        request["logprobs"] = max(1, question.top_logprobs)
    return json.dumps(request).encode()
