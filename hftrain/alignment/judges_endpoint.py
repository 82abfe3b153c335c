"""Asking a model behind an OpenAI-compatible address: with time limits, retries, a rate, and every reply kept.

A reply is kept in the stage's scratch as soon as it is there, so a killed run asks only what is left. The key comes
from the environment, goes into one header, and is cut from every text that a server gives back.
"""

import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hftrain.alignment.judges_questions import Asker, Reply
from hftrain.errors import ConfigError, DataError
from hftrain.files import digest_value
from hftrain.runtime import log, progress
from hftrain.tokens.chat import Messages

WHERE = "collect_preferences.judge_options"
KEPT = "replies.jsonl"
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_PAUSE_SECONDS = 60.0
THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where and how a model is asked."""

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    reply_tokens: int = 16
    timeout_seconds: float = 60.0
    retries: int = 5
    """How often a question is asked again after a fault that may pass."""
    requests_per_minute: float | None = None
    requests_at_once: int = 4
    max_malformed_share: float = 0.05
    """The work is refused when a larger share of the replies names no label."""

    @property
    def address(self) -> str:
        """Where questions go."""
        return self.base_url.rstrip("/") + "/chat/completions"


def endpoint_asker(endpoint: Endpoint, scratch: Path | None = None) -> Asker:
    """Asks the endpoint, likeliest token first, and reads the one label that its reply names.

    Args:
        endpoint: Who is asked.
        scratch: The folder in which replies are kept; None keeps them in memory alone.

    Raises:
        ConfigError: The endpoint refuses the request, or does not answer.
        DataError: Too large a share of the replies names no label, or more than one.
    """
    kept = _Kept(None if scratch is None else scratch / KEPT)

    def ask(questions: Sequence[Messages], labels: Sequence[str]) -> list[Reply]:
        bodies = [_body(endpoint, question) for question in questions]
        keys = [digest_value({"address": endpoint.address, "body": body}) for body in bodies]
        left = {key: body for key, body in zip(keys, bodies, strict=True) if key not in kept.texts}
        if len(left) < len(set(keys)):
            log.info("judge: %d replies are kept from before, %d are asked for", len(set(keys)) - len(left), len(left))
        _ask_all(endpoint, left, kept.add)
        texts = [kept.texts[key] for key in keys]
        replies = [Reply(_shares(text, labels), text) for text in texts]
        _check_formed(endpoint, replies, labels)
        return replies

    return ask


def label_in(text: str, labels: Sequence[str]) -> str | None:
    """The one label that a reply names as a word of its own; None if it names none or several.

    What a reasoning model thinks aloud between ``<think>`` and ``</think>`` does not count.
    """
    said = THOUGHTS.sub("", text).strip()
    bare = re.sub(r"\W+", "", said)
    if bare in labels:
        return bare
    named = {found for found in re.findall(r"\w+", said) if found in labels}
    return named.pop() if len(named) == 1 else None


def _shares(text: str, labels: Sequence[str]) -> dict[str, float] | None:
    named = label_in(text, labels)
    return None if named is None else {label: float(label == named) for label in labels}


def _check_formed(endpoint: Endpoint, replies: Sequence[Reply], labels: Sequence[str]) -> None:
    malformed = [str(reply.said) for reply in replies if reply.shares is None]
    if replies and len(malformed) > endpoint.max_malformed_share * len(replies):
        empty = sum(not text.strip() for text in malformed)
        raise DataError(
            f"{WHERE}: {len(malformed)} of {len(replies)} replies of {endpoint.model} name none of {', '.join(labels)} "
            f"or several ({empty} are empty), for example {malformed[0][:120]!r}. At most a share of "
            f"{endpoint.max_malformed_share} may. Take a model that follows instructions, raise reply_tokens if it "
            "thinks aloud first, or raise max_malformed_share: such pairs are ties."
        )


class _Kept:
    """Replies by the digest of what was asked, each on disk before the next is asked for."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.texts: dict[str, str] = {}
        if path is not None and path.exists():
            for line in path.read_bytes().split(b"\n"):
                try:
                    row = json.loads(line)
                except ValueError:  # the kill came in the middle of it: it is asked again
                    continue
                self.texts[row["key"]] = row["text"]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(b"\n")  # a cut line ends here

    def add(self, key: str, text: str) -> None:
        with self._lock:
            self.texts[key] = text
            if self._path is not None:
                with self._path.open("ab") as file:
                    file.write(json.dumps({"key": key, "text": text}).encode() + b"\n")


def _body(endpoint: Endpoint, question: Messages) -> dict[str, Any]:
    messages = [dict(message) for message in question]
    return {"model": endpoint.model, "messages": messages, "max_tokens": endpoint.reply_tokens, "temperature": 0}


def _ask_all(endpoint: Endpoint, bodies: Mapping[str, Mapping[str, Any]], keep: Callable[[str, str], None]) -> None:
    """Ask each body, several at once; the first that fails for good ends the work once those under way are done."""
    pace = _Pace(endpoint.requests_per_minute)

    def one(item: tuple[str, Mapping[str, Any]]) -> None:
        keep(item[0], _post(endpoint, item[1], pace))

    with ThreadPoolExecutor(endpoint.requests_at_once) as pool:
        try:
            waiting = pool.map(one, bodies.items())
            for _ in progress(waiting, total=len(bodies), unit="reply", description="judging"):
                pass
        finally:
            pool.shutdown(cancel_futures=True)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses: followed, a redirect would carry the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Pace:
    """Lets requests go at most so many a minute, evenly."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap_seconds = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._gap_seconds
        time.sleep(at - now)


def _post(endpoint: Endpoint, body: Mapping[str, Any], pace: _Pace) -> str:
    """The words of the reply to one request."""
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    request = urllib.request.Request(endpoint.address, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(_NoRedirect)
    for attempt in range(endpoint.retries + 1):
        pace.wait()
        pause = min(2.0**attempt, LONGEST_PAUSE_SECONDS)
        try:
            with opener.open(request, timeout=endpoint.timeout_seconds) as response:
                return _content(response.read())
        except urllib.error.HTTPError as problem:
            fault = f"HTTP {problem.code}: {_said(problem)}"
            if problem.code not in RETRIED:
                raise _refused(endpoint, fault) from None
            pause = _asked_pause(problem.headers.get("Retry-After"), pause)
        except (OSError, http.client.HTTPException) as problem:  # URLError and TimeoutError are OSErrors
            fault = f"{type(problem).__name__}: {problem}"
        except (ValueError, LookupError, TypeError) as problem:
            fault = f"the reply is no chat completion ({type(problem).__name__})"
        if attempt < endpoint.retries:
            time.sleep(pause)
    raise _refused(endpoint, f"{fault}, {endpoint.retries + 1} times in a row")


def _content(raw: bytes) -> str:
    content = json.loads(raw)["choices"][0]["message"]["content"]
    if content is None:  # all tokens went into the thinking that some servers keep apart
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _said(problem: urllib.error.HTTPError) -> str:
    try:
        return problem.read(300).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""


def _asked_pause(retry_after: str | None, otherwise: float) -> float:
    try:
        return min(max(float(retry_after or ""), 0.0), LONGEST_PAUSE_SECONDS)
    except ValueError:  # absent, or a date
        return otherwise


def _refused(endpoint: Endpoint, fault: str) -> ConfigError:
    told = fault.replace(endpoint.key, "(the key)") if endpoint.key else fault
    return ConfigError(
        f"{WHERE}.base_url: {endpoint.address} does not answer for {endpoint.model}: {told}. A running server with "
        "this model, and a key that it takes, are needed. Mend it and run again: what was answered is kept."
    )
