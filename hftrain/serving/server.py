"""``hftrain serve``: OpenAI's API, the page, and the ear, on one address."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hftrain.errors import DataError
from hftrain.serving.api import LONGEST_USER_CHARS, read_object, read_request
from hftrain.serving.chat_page import chat_page
from hftrain.serving.engine import Refused
from hftrain.serving.guarding import Guard, Guarded, page_policy, refused
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.server_answers import Served, answers
from hftrain.serving.server_feedback import read_feedback
from hftrain.serving.server_metrics import server_metrics
from hftrain.serving.server_streams import EventStream, Job, WholeAnswer, refusal

if TYPE_CHECKING:  # it can load models
    from hftrain.serving.promotion_pickup import Pickup

SESSION_HEADER = "x-hftrain-session"
PURGE_SECONDS = 3600.0
STOPPED_RETRY_SECONDS = 5
Handler = Callable[[Request], Awaitable[Response | ASGIApp]]


class ModelServer:
    """The models that are offered, and what a server knows about itself."""

    def __init__(
        self,
        served: Sequence[Served],
        store: InteractionStore | None,
        *,
        keep_days: float,
        guard: Guard,
        pickup: "Pickup | None" = None,
    ) -> None:
        """Keep what is offered; the first model answers where none is named.

        Args:
            served: The models.
            store: Where interactions go; None keeps nothing.
            keep_days: What is older is deleted.
            guard: Who may ask.
            pickup: What takes up other models while the server runs.
        """
        self.served: Mapping[str, Served] = {}
        self.store, self.keep_days, self.guard, self.pickup = store, keep_days, guard, pickup
        self.created = int(time.time())
        self.open_requests, self.is_stopping = 0, False
        self.metrics = server_metrics()
        if store is not None:
            self.metrics.gauge("hftrain_interactions_dropped", lambda: float(store.dropped))
        for each in served:
            self.offer(each)

    def offer(self, served: Served, *, first: bool = False) -> None:
        """Answer by this from now on where its name is asked for; who is being answered already is not touched."""
        if first and served.name not in self.served:
            self.served = {served.name: served, **self.served}
        else:
            self.served = {**self.served, served.name: served}
        self.metrics.gauge("hftrain_running", served.places.running_now, model=served.name)
        self.metrics.gauge("hftrain_waiting", served.places.waiting_now, model=served.name)
        shown = [self._shown(each) for each in self.served.values()]
        self._page = chat_page({"models": shown, "keeps": self.store is not None, "days": self.keep_days})

    def app(self) -> ASGIApp:
        """The application, behind its guard."""
        routes = [
            self._route("/", self.page, "GET"),
            self._route("/health", self.health, "GET"),
            self._route("/metrics", self.show_metrics, "GET"),
            self._route("/v1/models", self.list_models, "GET"),
            self._route("/v1/models/{name:path}", self.show_model, "GET"),
            self._route("/v1/chat/completions", self.chat, "POST"),
            self._route("/v1/completions", self.complete, "POST"),
            self._route("/v1/feedback", self.feedback, "POST"),
            self._route("/v1/my-data", self.forget, "DELETE"),
        ]
        handlers: Any = {HTTPException: _no_such_route, Exception: _broken}
        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        app.router.redirect_slashes = False
        return Guarded(app, self.guard)

    async def page(self, request: Request) -> Response:
        """The chat page."""
        return HTMLResponse(self._page, headers={"Content-Security-Policy": page_policy(self._page)})

    async def health(self, request: Request) -> Response:
        """Whether the server takes requests, and for which models; 503 once it was told to stop."""
        versions = {name: each.version for name, each in self.served.items() if each.version}
        said = {"status": "stopping" if self.is_stopping else "ok", "models": list(self.served), "versions": versions}
        return JSONResponse(said, 503 if self.is_stopping else 200)

    async def show_metrics(self, request: Request) -> Response:
        """What Prometheus reads."""
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def list_models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        return JSONResponse({"object": "list", "data": [self._shown(each) for each in self.served.values()]})

    async def show_model(self, request: Request) -> Response:
        """``GET /v1/models/NAME``."""
        return JSONResponse(self._shown(self._named(request.path_params["name"])))

    async def chat(self, request: Request) -> Response | ASGIApp:
        """``POST /v1/chat/completions``."""
        return await self._answer(request, is_chat=True)

    async def complete(self, request: Request) -> Response | ASGIApp:
        """``POST /v1/completions``."""
        return await self._answer(request, is_chat=False)

    async def feedback(self, request: Request) -> Response:
        """Store what a person said of an answer; acknowledged once it cannot be lost any more."""
        feedback = read_feedback(await request.body(), _session(request))
        if self.store is None:
            raise Refused("This server keeps nothing, feedback neither.", status=404, code="nothing_is_kept")
        try:
            said = await asyncio.wrap_future(self.store.add(feedback))
        except DataError as problem:
            raise Refused(str(problem), status=404, code="unknown_answer", parameter="interaction") from None
        self.metrics.count("hftrain_feedback_total", said == "stored")
        return JSONResponse({"id": feedback.id, "status": said})

    async def forget(self, request: Request) -> Response:
        """Delete everything of one person, by the id that the client sent as ``user`` or as its session."""
        given = read_object(await request.body() or b"{}")
        person = given.get("user") or _session(request)
        if not isinstance(person, str) or not person:
            raise Refused("'user': whose data? The id sent as user, or as session, is needed.", parameter="user")
        rows = 0 if self.store is None else await asyncio.wrap_future(self.store.forget(person))
        return JSONResponse({"deleted_rows": rows})

    async def _answer(self, request: Request, *, is_chat: bool) -> Response | ASGIApp:
        if self.is_stopping:
            said = "This server was told to stop and takes no more requests. Ask again in a moment, or another one."
            raise Refused(said, status=503, kind="server_error", code="stopping", retry_seconds=STOPPED_RETRY_SECONDS)
        asked = read_request(await request.body(), is_chat=is_chat)
        served = self._named(asked.model) if asked.model else next(iter(self.served.values()))
        prepared = served.engine.prepare(asked.question)
        served.places.check(asked.choices)
        job = Job(served, asked, asked.user or _session(request), self.metrics, self.store)
        pieces = job.watched(answers(served, asked, prepared))
        return EventStream(job, pieces) if asked.is_stream else WholeAnswer(job, pieces)

    def _named(self, name: str) -> Served:
        if name not in self.served:
            raise Refused(
                f"The model '{name[:100]}' is not served here. Known are {', '.join(self.served)}.",
                status=404,
                code="model_not_found",
                parameter="model",
            )
        return self.served[name]

    def _shown(self, served: Served) -> dict[str, Any]:
        return {
            "id": served.name,
            "object": "model",
            "created": self.created,
            "owned_by": "hftrain",
            "runtime": served.engine.runtime,
            "context_tokens": served.engine.context_tokens,
        }

    def _route(self, path: str, handler: Handler, method: str) -> Route:
        name = path.split("{")[0]

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            status = 500

            async def counted(message: Any) -> None:
                nonlocal status
                status = message.get("status", status)
                await send(message)

            self.open_requests += 1
            try:
                response = await self._response(handler, Request(scope, receive))
                await response(scope, receive, counted)
            finally:
                self.open_requests -= 1
                self.metrics.count("hftrain_requests_total", route=name, status=str(status))

        return Route(path, _Handled(handle), methods=[method])

    async def _response(self, handler: Handler, request: Request) -> Response | ASGIApp:
        try:
            return await handler(request)
        except Refused as problem:
            return refusal(problem)
        except SQLAlchemyError:
            return refused(503, "The database does not answer. Try again.", "store_failed", kind="server_error")

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._purge())]
        if self.pickup is not None:
            tasks.append(asyncio.create_task(self.pickup.watch(self)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.pickup is not None:
            await self.pickup.close()
        for engine in {id(each.engine): each.engine for each in self.served.values()}.values():
            await engine.close()
        if self.store is not None:
            await asyncio.to_thread(self.store.close)

    async def _purge(self) -> None:
        while self.store is not None:
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.wrap_future(self.store.purge(self.keep_days))
            await asyncio.sleep(PURGE_SECONDS)


class _Handled:
    """An ASGI application of a function: Starlette takes a bare function for one of requests."""

    def __init__(self, work: ASGIApp) -> None:
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._work(scope, receive, send)


def _session(request: Request) -> str | None:
    """The session that a page names; one of a length that no id has is none."""
    given = request.headers.get(SESSION_HEADER)
    return given if given and len(given) <= LONGEST_USER_CHARS else None


async def _no_such_route(request: Request, problem: HTTPException) -> Response:
    said = {404: f"Nothing is served at {request.url.path[:100]}.", 405: f"{request.method} is not for this address."}
    return refused(problem.status_code, said.get(problem.status_code, problem.detail), "unknown_address")


async def _broken(request: Request, problem: Exception) -> Response:
    """What nobody foresaw; Starlette raises it once more behind this answer, so that it is in the log."""
    said = f"The server failed ({type(problem).__name__}). Its log says more."
    return refused(500, said, "internal_error", kind="server_error")
