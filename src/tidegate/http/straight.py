"""A way past the framework for plain requests to the places that are knocked at most.

FastAPI looks a route up among all, solves what it depends on, and keeps stacks of contexts for it: that costs more than
our own work. What it says of the route stays true, for whatever is not plain goes its way.
"""

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from tidegate.errors import TidegateError
from tidegate.http.problems import Refusal, refusal_of, respond
from tidegate.http.requests.reading import PATIENCE_SCOPE
from tidegate.http.routing import BASE_SCOPE, OwnRoute, StrictRequest


class Straight:
    """ASGI application: the routes that have a `plain` answer. `guard` stands before them, as before every route."""

    def __init__(self, routes: Iterable[BaseRoute], guard: Callable[[Request], Awaitable[None]]) -> None:
        self._guard = guard
        self._plain = {
            (method, route.path): (route, route.plain)
            for route in routes
            if isinstance(route, OwnRoute) and route.plain is not None
            for method in route.methods or ()
        }

    def takes(self, scope: Scope) -> bool:
        """Whether this is a request without a query for one of them. Where we are mounted, none is."""
        if scope["type"] != "http" or scope["query_string"] or scope.get("root_path"):
            return False
        return (scope["method"], scope["path"]) in self._plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that it takes."""
        route, plain = self._plain[scope["method"], scope["path"]]
        scope["route"], scope[BASE_SCOPE] = route, ""
        scope[PATIENCE_SCOPE] = route.patience().total_seconds()
        request = StrictRequest(scope, receive)
        try:
            await self._guard(request)
            response = await plain(request)
        except Refusal as exc:
            response = respond(request, exc)
        except TidegateError as exc:
            response = respond(request, refusal_of(exc))
        await response(scope, receive, send)
