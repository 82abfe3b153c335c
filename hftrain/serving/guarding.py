"""What stands before every route of a server here: who may ask, from where, and how much.

Refused before any route is reached: another Host than the server's own names (a page elsewhere whose name was pointed
at this address), another Origin, a body that is too large or too slow, and, where a key is set, whoever does not hold
it. A browser gives the key once, in a form, and then holds a cookie that no script can read and no other site can send.
"""

import asyncio
import base64
import hashlib
import hmac
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hftrain.errors import ConfigError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
KEY_VARIABLE = "HFTRAIN_API_KEY"
SHORTEST_KEY_CHARS = 16
SIGN_IN = "/sign-in"
SLOWEST_BODY_SECONDS = 30.0
WRONG_KEY_SECONDS = 0.5
"""How long a wrong key waits for its answer."""

BODY_BYTES = 1_000_000

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends the sign-in form with the Origin "null"
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise."""

SIGN_IN_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:20vh auto;"
    "padding:0 1rem}input,button{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.3rem 0}"
)
SIGN_IN_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>Sign in</title><style>{SIGN_IN_STYLE}</style><h1>Sign in</h1><p>{{said}}</p>"
    f'<form method="post" action="{SIGN_IN}"><label>Key<input name="key" type="password" '
    'autocomplete="current-password" autofocus required></label><button>Sign in</button></form></html>'
)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Who may ask a server, and how much."""

    port: int
    """Part of the cookie's name: browsers give one address' cookies to all of its ports."""
    key: str | None = None
    further_keys: tuple[str, ...] = ()
    """Others that are as good: one for each client, or the next before the last is withdrawn."""
    hosts: frozenset[str] = LOOPBACK
    """Names by which the server may be asked, without port."""
    body_bytes: int = BODY_BYTES

    def allows_key(self, headers: Headers) -> bool:
        """Whether a request carries the key, or the cookie that stands for it; in the same time for all wrong keys."""
        if self.key is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_key(given.strip()):
            return True
        cookie = self._cookie(headers)
        return any([_same(cookie, self.cookie_of(key)) for key in self._keys])

    def is_key(self, given: str) -> bool:
        """Whether this is a key."""
        return any([_same(given, key) for key in self._keys])

    @property
    def cookie_name(self) -> str:
        """The cookie that stands for the key."""
        return f"hftrain_{self.port}"

    @property
    def cookie_value(self) -> str:
        """What the cookie of the first key holds."""
        return self.cookie_of(self.key or "")

    @property
    def _keys(self) -> tuple[str, ...]:
        return () if self.key is None else (self.key, *self.further_keys)

    def cookie_of(self, key: str) -> str:
        """What stands for a key in a browser: made of it, of no use to find it, and void once it is withdrawn."""
        return hmac.new(key.encode(), b"signed in", hashlib.sha256).hexdigest()

    def _cookie(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self.cookie_name].value if self.cookie_name in cookies else ""


class Guarded:
    """An application behind its guard."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        """Stand before ``app``."""
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, sign in, or hand on with the whole body read."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        send = _with_security_headers(send)
        headers = Headers(scope=scope)
        refusal, body = self._refusal(scope, headers), b""
        if refusal is None:
            try:
                refusal, body = await self._read(receive)
            except ConnectionError:
                return
        if refusal is None and self.guard.key is not None:
            if scope["path"] == SIGN_IN and scope["method"] == "POST":
                refusal = await self._sign_in(body)
            elif not self.guard.allows_key(headers):
                refusal = await self._without_key(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
        else:
            await self.app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> tuple[Response | None, bytes]:
        """The whole body, or why it is not read."""
        try:
            async with asyncio.timeout(SLOWEST_BODY_SECONDS):
                return None, await _read_body(receive, self.guard.body_bytes)
        except TimeoutError:
            return refused(408, f"The body did not come within {SLOWEST_BODY_SECONDS:.0f} seconds.", "timeout"), b""
        except OverflowError:
            return self._too_large(), b""

    def _too_large(self) -> Response:
        return refused(413, f"The body is over {self.guard.body_bytes} bytes. Send less.", "request_too_large")

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _without_port(hosts[0]) not in self.guard.hosts:
            return refused(421, "This server is not asked by that Host.", "wrong_host")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return refused(403, "Pages of other origins may not ask this server.", "wrong_origin")
        is_visit = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_visit:
            return refused(403, "Pages of other sites may not ask this server.", "wrong_origin")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self.guard.body_bytes:
            return self._too_large()
        return None

    async def _sign_in(self, body: bytes) -> Response:
        given = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0]
        if not self.guard.is_key(given):
            await asyncio.sleep(WRONG_KEY_SECONDS)
            return _sign_in_page("That is not the key.")
        response = RedirectResponse("/", 303)
        value = self.guard.cookie_of(given)
        response.set_cookie(self.guard.cookie_name, value, httponly=True, samesite="strict", max_age=30 * 86400)
        return response

    async def _without_key(self, scope: Scope, headers: Headers) -> Response:
        if "authorization" in headers:
            await asyncio.sleep(WRONG_KEY_SECONDS)
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return _sign_in_page("This server asks for its key.")
        said = "The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'."
        return refused(401, said, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def refused(
    status: int,
    message: str,
    code: str | None,
    *,
    kind: str = "invalid_request_error",
    parameter: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error in OpenAI's form.

    Source: https://platform.openai.com/docs/guides/error-codes
    """
    return JSONResponse(error_body(message, code, kind=kind, parameter=parameter), status, dict(headers or {}))


def error_body(message: str, code: str | None, *, kind: str, parameter: str | None = None) -> dict[str, object]:
    """The JSON of an error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def read_keys(file: Path | None) -> tuple[str, ...]:
    """The keys that a server takes: a file's, one a line, or the environment's one; none where neither is given.

    Raises:
        ConfigError: One is short or has spaces, or others than its owner can read the file.
    """
    given = os.environ.get(KEY_VARIABLE)
    if file is None and not given:
        return ()
    where, keys = (KEY_VARIABLE, [given or ""]) if file is None else (str(file), _keys_of(file))
    for key in keys:
        if len(key) < SHORTEST_KEY_CHARS or not re.fullmatch(r"[!-~]+", key):
            raise ConfigError(
                f"{where}: a key of {len(key)} characters. At least {SHORTEST_KEY_CHARS} of printable ASCII without "
                "spaces are needed. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
            )
    return tuple(keys)


def page_policy(page: str) -> str:
    """The Content-Security-Policy of a page that holds all it needs: its own inline parts by hash, and this server."""

    def inside(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return " ".join(f"'sha256-{_sha256(part)}'" for part in parts) or "'none'"

    return (
        f"default-src 'none'; script-src {inside('script')}; style-src {inside('style')}; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def allowed_hosts(bound: str, others: Iterable[str]) -> frozenset[str]:
    """The names by which a server on this address may be asked."""
    return LOOPBACK | {bound.lower()} | {name.lower() for name in others}


def inline_json(value: object) -> str:
    """JSON that can stand inside a script element, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _keys_of(file: Path) -> list[str]:
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"{file}: others can read it. A key is its owner's alone. Run: chmod 600 {file}")
        return [line.strip() for line in file.read_text(encoding="utf-8").strip().split("\n")]
    except OSError as problem:
        raise ConfigError(
            f"{file}: {problem.strerror}. A readable file with the key is needed. Name another."
        ) from None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host.lower())


def _sign_in_page(said: str) -> HTMLResponse:
    page = SIGN_IN_PAGE.replace("{said}", html.escape(said))
    return HTMLResponse(page, 401, {"Content-Security-Policy": page_policy(page)})


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


async def _read_body(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        body += message.get("body", b"")
        if len(body) > limit:
            raise OverflowError
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once and then what comes after it."""
    waiting = [body]

    async def receiving() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receiving
