"""Requests of OpenAI's API, read and checked.

Source: https://platform.openai.com/docs/api-reference/chat and /completions. What this server does not do is refused,
unless it is asked for in the form that changes nothing (``frequency_penalty: 0``).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hftrain.corpus.conversations import ROLES
from hftrain.serving.engine import Question, Refused

MOST_CHOICES, MOST_STOPS, MOST_TOP_LOGPROBS, MOST_MESSAGES = 16, 4, 20, 1000
LONGEST_USER_CHARS = 256

HARMLESS: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logit_bias": ({}, None),
    "response_format": ({"type": "text"}, None),
    "tools": ([], None),
    "tool_choice": ("none", "auto", None),
    "functions": ([], None),
    "function_call": ("none", "auto", None),
    "modalities": (["text"], None),
    "audio": (None,),
    "prediction": (None,),
    "suffix": ("", None),
    "echo": (False, None),
    "web_search_options": (None,),
    "reasoning_effort": (None,),
}
"""What OpenAI's API knows and this server does not do, with the values that ask for nothing."""

IGNORED = frozenset({"metadata", "parallel_tool_calls", "service_tier", "prompt_cache_key", "verbosity", "best_of"})
"""What has no bearing on an answer here."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that is in order."""

    model: str | None
    question: Question
    is_chat: bool
    choices: int = 1
    is_stream: bool = False
    includes_usage: bool = False
    user: str | None = None
    """Who asks, as the client says."""
    may_be_kept: bool = True
    """False where the client sent ``store: false``."""


def read_request(body: bytes, *, is_chat: bool) -> Asked:
    """Read a request of ``/v1/chat/completions`` or of ``/v1/completions``.

    Raises:
        Refused: Anything about it is not in order; the first thing found is told.
    """
    given = read_object(body)
    _check_names(given)
    messages = _messages(given.pop("messages", None)) if is_chat else ()
    prompt = None if is_chat else _prompt(given.pop("prompt", None))
    options = given.get("stream_options") or {}
    if not isinstance(options, dict):
        raise _wrong("stream_options", "an object is needed")
    question = Question(
        messages=messages,
        prompt=prompt,
        new_tokens=_new_tokens(given),
        temperature=_number(given, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(given, "top_p", 1.0, 0.0, 1.0),
        seed=_whole(given, "seed", None, -(2**63), 2**63 - 1),
        stop=_stops(given.get("stop")),
        top_logprobs=_top_logprobs(given, is_chat=is_chat),
    )
    user = given.get("safety_identifier") or given.get("user")
    if user is not None and not (isinstance(user, str) and 0 < len(user) <= LONGEST_USER_CHARS):
        raise _wrong("user", f"a text of at most {LONGEST_USER_CHARS} characters is needed")
    model = given.get("model")
    if model is not None and not isinstance(model, str):
        raise _wrong("model", "a name is needed")
    return Asked(
        model=model,
        question=question,
        is_chat=is_chat,
        choices=_whole(given, "n", 1, 1, MOST_CHOICES) or 1,
        is_stream=_flag(given, "stream"),
        includes_usage=_flag(options, "include_usage"),
        user=user,
        may_be_kept=given.get("store") is not False,
    )


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        Refused: It is none.
    """
    try:
        given = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON. Send one JSON object, in UTF-8.") from None
    if not isinstance(given, dict):
        raise Refused("The body is not a JSON object.")
    return given


def _check_names(given: dict[str, Any]) -> None:
    for name, harmless in HARMLESS.items():
        if name in given and given[name] not in harmless:
            raise _wrong(name, "this server does not do that; leave it out", code="unsupported_parameter")
    known = {
        "messages", "prompt", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop",
        "logprobs", "top_logprobs", "n", "stream", "stream_options", "user", "safety_identifier", "store",
    }  # fmt: skip
    unknown = sorted(set(given) - known - IGNORED - set(HARMLESS))
    if unknown:
        raise _wrong(unknown[0], "no such parameter; correct or remove it", code="unknown_parameter")


def _messages(given: object) -> tuple[dict[str, str], ...]:
    if not isinstance(given, list) or not 0 < len(given) <= MOST_MESSAGES:
        raise _wrong("messages", f"a list of 1 to {MOST_MESSAGES} messages is needed")
    return tuple(_message(index, message) for index, message in enumerate(given))


def _message(index: int, given: object) -> dict[str, str]:
    where = f"messages[{index}]"
    if not isinstance(given, dict):
        raise _wrong(where, "an object with role and content is needed")
    role = "system" if given.get("role") == "developer" else given.get("role")
    if role not in ROLES:
        raise _wrong(f"{where}.role", f"one of {', '.join(ROLES)} is needed")
    content = given.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise _wrong(f"{where}.content", "only parts of type text are read")
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) or given.get("tool_calls"):
        raise _wrong(f"{where}.content", "a text is needed")
    return {"role": str(role), "content": _readable(where, content)}


def _prompt(given: object) -> str | tuple[int, ...]:
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str | list):
        given = given[0]
    if isinstance(given, str):
        return _readable("prompt", given)
    if isinstance(given, list) and given and all(type(each) is int for each in given):
        return tuple(given)
    raise _wrong("prompt", "one text, or the token ids of one, is needed")


def _readable(where: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _wrong(where, "half of a surrogate pair stands in it; send whole characters") from None
    return text


def _new_tokens(given: dict[str, Any]) -> int | None:
    names = ("max_completion_tokens", "max_tokens")
    return next((found for name in names if (found := _whole(given, name, None, 1, 2**31 - 1)) is not None), None)


def _stops(given: object) -> tuple[str, ...]:
    stops = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise _wrong("stop", f"a text or a list of at most {MOST_STOPS} texts is needed")
    return tuple(stops)


def _top_logprobs(given: dict[str, Any], *, is_chat: bool) -> int | None:
    if not is_chat:
        return _whole(given, "logprobs", None, 0, MOST_TOP_LOGPROBS)
    top = _whole(given, "top_logprobs", None, 0, MOST_TOP_LOGPROBS)
    if _flag(given, "logprobs"):
        return top or 0
    if top:
        raise _wrong("top_logprobs", "logprobs must be true too")
    return None


def _number(given: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isnan(value):
        raise _wrong(name, f"a number from {low:g} to {high:g} is needed")
    return float(value)


def _whole(given: dict[str, Any], name: str, default: int | None, low: int, high: int) -> int | None:
    value = given.get(name)
    if value is None:
        return default
    if type(value) is not int or not low <= value <= high:
        raise _wrong(name, f"a whole number from {low} to {high} is needed")
    return value


def _flag(given: dict[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false is needed")
    return bool(value)


def _wrong(parameter: str, what: str, code: str | None = None) -> Refused:
    return Refused(f"'{parameter}': {what}.", code=code, parameter=parameter)


def _no_constant(name: str) -> float:
    raise ValueError(name)
