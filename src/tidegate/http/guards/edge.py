"""What depends on how the service is reached from browsers: CORS, and TLS for good."""

from collections.abc import Callable, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.config import Settings
from tidegate.http.problems import BAD_REQUEST, Refusal

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HEADERS: Final = (
    "Authorization", "Idempotency-Key", "Last-Event-ID", "X-File-Name", "X-Request-ID", "X-User-ID", "traceparent",
)  # fmt: skip
EXPOSED: Final = (
    "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Limit", "RateLimit-Policy", "RateLimit-Remaining",
    "RateLimit-Reset", "Retry-After", "X-Request-ID",
)  # fmt: skip

EVERYBODY: Final = "*"


class Edge:
    """ASGI middleware. It is set up at the first request: the settings are known once the application is open."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings
        self._made: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; add what browsers are to know."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._made is None:
            self._made = _made(self._app, self._settings())
        await self._made(scope, receive, send)


def lasting(settings: Settings) -> dict[str, str]:
    """The header that tells browsers to come by TLS only; none where the settings don't say so."""
    seconds = int(settings.hsts.total_seconds())
    return {"Strict-Transport-Security": f"max-age={seconds}"} if seconds else {}


def _made(app: ASGIApp, settings: Settings) -> ASGIApp:
    origins, headers = settings.cors_origins, lasting(settings)
    if origins:
        app = _Cors(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=HEADERS,
            allow_credentials=EVERYBODY not in origins,
            expose_headers=EXPOSED,
        )
    return _Lasting(app, headers) if headers else app


class _Cors(CORSMiddleware):
    """Starlette's, whose refusals are problems."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks whether it may; raises Refusal."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        refusal = Refusal(BAD_REQUEST, bytes(answer.body).decode())
        refusal.headers = {
            name: value
            for name, value in answer.headers.items()
            if name == "vary" or name.startswith("access-control-")
        }
        raise refusal


class _Lasting:
    """Puts headers on every answer."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, sent)
