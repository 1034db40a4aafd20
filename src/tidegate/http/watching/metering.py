"""Counts every answer and how long it took, by route."""

from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.clock import Clock
from tidegate.telemetry.metrics import Metrics

UNMATCHED = "unmatched"
"""The route of what is no route of ours."""

LEFT = 499
"""The status of a client that did not wait."""


class Metering:
    """ASGI middleware, within the envelope: what the application raises is a 5xx here."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._now = clock.monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, self._now()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            status = LEFT
            raise
        finally:
            self._metrics.request(_route(scope), scope["method"], status, self._now() - began)


def _route(scope: Scope) -> str:
    """The template of the route that was found, never a path: paths are without number."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else UNMATCHED
