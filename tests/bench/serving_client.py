"""A client of streamed answers that costs little: on a small machine it takes its time from the server it measures."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PROMPTS = [f"Tell me something about {thing}." for thing in (
    "the sea", "a red ball", "trees", "the moon", "your name", "books", "cats", "the old town", "bread", "music",
    "snow", "ships", "a garden", "the evening", "letters", "stones")]  # fmt: skip


@dataclass
class Load:
    """What all clients saw."""

    tokens: int = 0
    seconds: float = 0.0
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    first_seconds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Tokens a second of all clients together."""
        return self.tokens / self.seconds


async def ask(url: str, model: str, prompt: str, answer_tokens: int, load: Load) -> str:
    """One streamed answer, read as it comes and understood when it is whole.

    Raises:
        ConnectionError: It was refused, or cut.
    """
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True,
                       "temperature": 0, "max_tokens": answer_tokens, "seed": 0,
                       "stream_options": {"include_usage": True}}).encode()  # fmt: skip
    address = urlsplit(url)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    began, received, first = time.monotonic(), bytearray(), None
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head.encode() + body)
        while data := await reader.read(65_536):
            received += data
            if first is None and b"data:" in received:
                first = time.monotonic() - began
    finally:
        writer.close()
    head_bytes, _, chunked = bytes(received).partition(b"\r\n\r\n")
    if b" 200 " not in head_bytes.split(b"\r\n")[0] or first is None:
        raise ConnectionError(bytes(received[:500]).decode("utf-8", "replace"))
    text, tokens, ended = _understood(_whole(chunked).decode())
    if not ended:
        raise ConnectionError("no end")
    load.first_seconds.append(first)
    load.tokens += tokens
    return text


async def press(
    url: str, model: str, clients: int, seconds: float, answer_tokens: int, expected: dict[str, str] | None = None
) -> Load:
    """All clients for a while; who has begun an answer may end it. What is not expected of an answer is not judged."""
    load, began = Load(), time.monotonic()

    async def one(number: int) -> None:
        turn = number
        while time.monotonic() - began < seconds:
            prompt = PROMPTS[turn % len(PROMPTS)]
            turn += 1
            try:
                text = await ask(url, model, prompt, answer_tokens, load)
            except (OSError, ValueError) as problem:
                load.lost.append(repr(problem))
                continue
            if expected is None or text == expected[prompt]:
                load.right.append(prompt)
            else:
                load.wrong.append(f"{prompt} {text!r}, alone {expected[prompt]!r}")

    await asyncio.gather(*(one(number) for number in range(clients)))
    load.seconds = time.monotonic() - began
    return load


def _whole(chunked: bytes) -> bytes:
    """The body out of HTTP's chunks."""
    body, at = bytearray(), 0
    while True:
        end = chunked.index(b"\r\n", at)
        size = int(chunked[at:end], 16)
        if size == 0:
            return bytes(body)
        body += chunked[end + 2 : end + 2 + size]
        at = end + 4 + size


def _understood(events: str) -> tuple[str, int, bool]:
    """The text of an answer, its tokens (or its pieces, where the server does not count), and whether it ended."""
    text, pieces, tokens, ended = [], 0, None, False
    for line in events.split("\n"):
        if not line.startswith("data: ") or line.endswith("[DONE]"):
            continue
        chunk = json.loads(line[6:])
        tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
        for choice in chunk.get("choices") or ():
            piece = choice["delta"].get("content") or ""
            text.append(piece)
            pieces += bool(piece)
            ended = ended or bool(choice.get("finish_reason"))
    return "".join(text), pieces if tokens is None else tokens, ended
