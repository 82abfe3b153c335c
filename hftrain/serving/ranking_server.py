"""The ranking page on this machine: one page, and a few answers in JSON, for whoever holds the token."""

import contextlib
import hmac
import json
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hftrain.errors import ConfigError, DataError
from hftrain.serving.guarding import Guard, Guarded, allowed_hosts, inline_json, page_policy
from hftrain.serving.ranking_desk import Choice, Desk, Task
from hftrain.serving.ranking_export import team_numbers

LARGEST_BODY_BYTES = 256 * 1024
MOST_CHOICES_A_REQUEST = 50
TASKS_AHEAD = 20
"""So many prompts are with the page, so that a rater goes on while the server is away."""
EVERYWHERE = ("", "0.0.0.0", "::")
CLOSED_PAGE = "<!doctype html><title>Closed</title><p>Open the address that <code>hftrain rank</code> printed."


@dataclass(frozen=True)
class Access:
    """Who may ask: the address that is served, and the secret that its holder was told."""

    host: str
    port: int
    token: str

    @property
    def cookie(self) -> str:
        """Its name holds the port: a browser sends the cookies of one host to all of its ports."""
        return f"hftrain_rank_{self.port}"

    def url(self) -> str:
        """What to open."""
        return f"http://{self.name}:{self.port}/?token={self.token}"

    @property
    def name(self) -> str:
        """The host as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def holds(self, given: str | None) -> bool:
        """Whether this is the token."""
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())


class RankingPage:
    """The page and what it asks for."""

    def __init__(self, desk: Desk, access: Access, *, rater: str | None = None) -> None:
        """Serve this desk to who may ask; the page proposes the rater's name."""
        self._desk, self._access = desk, access
        here = Path(__file__).parent
        parts = {
            "STYLE": (here / "ranking.css").read_text(encoding="utf-8"),
            "SETTINGS": inline_json({"store": desk.store.identity, "rater": rater or ""}),
            "SCRIPT": (here / "ranking.js").read_text(encoding="utf-8"),
        }
        page = (here / "ranking.html").read_text(encoding="utf-8")
        self._page = re.sub("@@([A-Z]+)@@", lambda found: parts[found[1]], page)
        self._policy = page_policy(self._page)

    def app(self) -> ASGIApp:
        """All of it, behind its guard."""
        routes = [
            Route("/", self._show),
            Route("/api/work", self._answering(lambda asked, _: _work(self._desk, asked))),
            Route("/api/last", self._answering(lambda asked, _: _last(self._desk, asked))),
            Route("/api/team", self._answering(lambda *_: team_numbers(self._desk.team()))),
            Route("/api/raters", self._answering(lambda *_: {"raters": self._desk.store.raters()})),
            Route("/api/choices", self._answering(lambda _, body: _accept(self._desk, body)), methods=["POST"]),
        ]
        guard = Guard(port=self._access.port, hosts=allowed_hosts(self._access.name, ()), body_bytes=LARGEST_BODY_BYTES)
        return Guarded(Starlette(routes=routes), guard)

    def _is_known(self, request: Request) -> bool:
        return self._access.holds(request.cookies.get(self._access.cookie) or request.headers.get("x-hftrain-token"))

    async def _show(self, request: Request) -> Response:
        given = request.query_params.get("token")
        if given is None and self._is_known(request):
            return HTMLResponse(self._page, headers={"Content-Security-Policy": self._policy})
        if not self._access.holds(given):
            return HTMLResponse(CLOSED_PAGE, 403)
        answer = RedirectResponse("/", 303)  # the address bar and the history are left without the token
        answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict")
        return answer

    def _answering(
        self, work: Callable[[Mapping[str, str], bytes], object]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A route that answers in JSON what ``work(query, body)`` returns, to who holds the token."""

        async def answer(request: Request) -> Response:
            if not self._is_known(request):
                return _json({"problem": "Open the address that hftrain rank printed."}, 401)
            if request.method == "POST" and request.headers.get("content-type") != "application/json":
                return _json({"problem": "JSON is needed."}, 415)
            try:
                return _json(await run_in_threadpool(work, request.query_params, await request.body()))
            except DataError as problem:
                return _json({"problem": str(problem)}, 422)
            except DBAPIError:
                return _json({"problem": "The database does not answer."}, 503)

        return answer


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        ConfigError: The address is taken, or not this machine's.
    """
    if host in EVERYWHERE:
        raise ConfigError(
            f"--host {host}: is every address at once, and a browser asks for one. The page answers to the name by "
            "which it is asked. Give the one address of this machine that others use."
        )
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        raise ConfigError(
            f"--host {host} --port {port}: {problem.strerror}. A free port of an address of this machine is needed. "
            "Give another --port."
        ) from None


def serve(app: ASGIApp, at: socket.socket) -> None:
    """Answer at the socket until a signal ends it."""
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=5
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[at])


def kept_token(path: Path) -> str:
    """The token in a file that only its owner reads, made where there is none: a restart keeps open pages open."""
    if path.is_file():
        return path.read_text(encoding="ascii").strip()
    token = secrets.token_urlsafe(24)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")
    return token


def _work(desk: Desk, asked: Mapping[str, str]) -> Mapping[str, Any]:
    work = desk.work(asked.get("rater", ""), limit=TASKS_AHEAD, skipped="skipped" in asked)
    return {"total": work.total, "decided": work.decided, "tasks": [_shown(task) for task in work.tasks]}


def _last(desk: Desk, asked: Mapping[str, str]) -> Mapping[str, Any]:
    last = desk.last(asked.get("rater", ""))
    return {"last": None if last is None else {**asdict(last), "task": _shown(last.task)}}


def _shown(task: Task) -> Mapping[str, Any]:
    return {"item": task.item, "prompt": list(task.prompt), "answers": list(task.answers)}


def _accept(desk: Desk, body: bytes) -> Mapping[str, Any]:
    """What became of each choice of a request; one that is refused does not hold up the others."""
    try:
        given = json.loads(body.decode("utf-8"))["choices"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("choices: an object with a list of choices is needed.") from None
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_CHOICES_A_REQUEST:
        raise DataError(f"choices: a list of 1 to {MOST_CHOICES_A_REQUEST} is needed.")
    results = []
    for each in given:
        choice_id = str(each.get("choice_id"))[:64] if isinstance(each, Mapping) else ""
        try:
            results.append({"choice_id": choice_id, "status": desk.accept(_choice(each))})
        except DataError as problem:
            results.append({"choice_id": choice_id, "status": "refused", "problem": str(problem)})
    return {"results": results}


def _choice(given: object) -> Choice:
    """The choice that JSON holds; its fields are checked at the desk, their types here."""
    if not isinstance(given, Mapping):
        raise DataError("choice: an object is needed.")
    unknown = sorted(str(name)[:20] for name in set(given) - set(Choice.__dataclass_fields__))
    missing = [name for name in ("choice_id", "rater", "item", "kind") if not isinstance(given.get(name), str)]
    places, seconds = given.get("places"), given.get("seconds")
    if unknown or missing or not isinstance(places, list | None) or not isinstance(given.get("undoes"), str | None):
        raise DataError(f"choice: unknown {unknown}, missing {missing}, or of a wrong type. Load the page anew.")
    took = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e9 else None
    return Choice(**{**given, "places": None if places is None else tuple(places), "seconds": took})


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")  # ASCII, whatever the texts hold
