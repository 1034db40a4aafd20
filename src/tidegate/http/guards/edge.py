"""What depends on how the service is reached from browsers: CORS, and TLS for good."""

from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.config import Settings

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


def _made(app: ASGIApp, settings: Settings) -> ASGIApp:
    origins, lasting = settings.cors_origins, int(settings.hsts.total_seconds())
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=HEADERS,
            allow_credentials=EVERYBODY not in origins,
            expose_headers=EXPOSED,
        )
    return _Lasting(app, lasting) if lasting else app


class _Lasting:
    """Tells browsers to come by TLS only, for so many seconds."""

    def __init__(self, app: ASGIApp, seconds: int) -> None:
        self._app = app
        self._value = f"max-age={seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Strict-Transport-Security"] = self._value
            await send(message)

        await self._app(scope, receive, sent)
