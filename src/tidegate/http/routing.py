"""Routes that keep our promises in whatever application they stand: bodies, refusals, headers and links are their own.

No handler and no middleware of that application is needed for it, and none is touched.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, cast

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from tidegate.core.text import plainly
from tidegate.errors import TidegateError
from tidegate.http import problems
from tidegate.http.envelope import Envelope
from tidegate.http.knock import Knock
from tidegate.http.problems import Refusal
from tidegate.http.requests.reading import PATIENCE_SCOPE
from tidegate.http.requests.strict import StrictRequest
from tidegate.http.requests.unasked import refuse_body, refuse_query, refuse_repeats

BASE_SCOPE: Final = "tidegate.base"
"""In the scope of a request: the path below which our places are, as this client reaches them."""

Answering = Callable[[Request], Coroutine[Any, Any, Response]]
STREAM: Final = "text/event-stream"

Plain = Callable[[Sequence[Knock]], Awaitable[None]]
"""Answers each of some requests that came together."""


class OwnRoute(APIRoute):
    """A route of ours. `patience` is how long a body of JSON may take, `names` are the paths without parameters.

    `plain` answers requests without a query as the route does, given that its guard let them in; see `straight`.
    `asks` is whether it has parameters in a query, `reads` whether it reads a body, `taken` are its methods.
    """

    patience: Callable[[], timedelta] = staticmethod(lambda: timedelta(seconds=10))
    names: frozenset[str] = frozenset()
    plain: Plain | None = None

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_only_asked)]
        super().__init__(path, endpoint, **options)
        self.asks = bool(self.dependant.query_params)
        self.reads = self.body_field is not None or "requestBody" in (self.openapi_extra or {})
        methods, ends = self.methods or set(), getattr(self.response_class, "media_type", "") != STREAM
        self.taken = frozenset({*methods, "HEAD"} if "GET" in methods and ends else methods)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route: a place with a name of its own is nobody's parameter."""
        match, child = super().matches(self._asked(scope))
        if match is not Match.NONE and "{" in self.path_format:
            own = self.path_format.format_map(child["path_params"])
            return (Match.NONE, {}) if own in self.names else (match, child)
        return match, child

    def get_route_handler(self) -> Answering:
        """FastAPI's handler, whose errors come out as refusals: problems that nobody else knows how to answer."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except RequestValidationError as exc:
                raise _invalid(exc) from exc
            except TidegateError as exc:
                raise problems.refusal_of(exc) from exc
            except HTTPException as exc:
                raise _cause(exc) from exc.__cause__

        return answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that came to this route, in an envelope of our own where it is in none yet."""
        scope[BASE_SCOPE] = _base(scope, self.path_format)
        scope[PATIENCE_SCOPE] = self.patience().total_seconds()
        asked, answering = self._asked(scope), Envelope(super().handle, guest=True)
        if asked is scope:
            await answering(scope, receive, send)
            return
        with suppress(_HeadTold):
            await answering(asked, receive, partial(_head_only, send))

    def _asked(self, scope: Scope) -> Scope:
        """The request as it is answered: HEAD as GET, where that ends."""
        if scope.get("method") == "HEAD" and "HEAD" in self.taken:
            return {**scope, "method": "GET"}
        return scope


class _HeadTold(Exception):
    """Ends an answer to HEAD: nobody reads more of it."""


async def _head_only(send: Send, message: Message) -> None:
    if message["type"] != "http.response.body":
        await send(message)
    else:
        await send({"type": "http.response.body", "body": b""})
        raise _HeadTold


async def _only_asked(request: Request) -> None:
    """Refuse what the route does not ask for. A dependency behind the gatekeeper; raises Refusal and InvalidInput.

    A route that asks for parameters has a model of them, which refuses others.
    """
    route = request.scope["route"]
    if request.scope["query_string"]:
        (refuse_repeats if route.asks else refuse_query)(request)
    if not route.reads:
        await refuse_body(request)


def own_route(patience: Callable[[], timedelta], kind: type[OwnRoute] = OwnRoute) -> type[OwnRoute]:
    """The routes of one application."""
    return cast("type[OwnRoute]", type(kind.__name__, (kind,), {"patience": staticmethod(patience)}))


def straighten(router: APIRouter, plain: Plain) -> None:
    """Say how plain requests to the route that was added last are answered."""
    route = router.routes[-1]
    assert isinstance(route, OwnRoute)
    route.plain = plain


def name_places(routes: Iterable[BaseRoute]) -> None:
    """Tell every route of ours the paths that have names of their own."""
    ours = [route for route in routes if isinstance(route, OwnRoute)]
    names = frozenset(route.path for route in ours if "{" not in route.path)
    for route in ours:
        route.names = names


def _base(scope: Scope, path_format: str) -> str:
    """What stands before our own path: where we are mounted, and the prefix that we are included under."""
    own = path_format.format_map(scope.get("path_params", {}))
    before = str(scope["path"]).removesuffix(own)
    root = str(scope.get("root_path", ""))
    return before if before.startswith(root) else root + before


def _cause(exc: HTTPException) -> Exception:
    """FastAPI hides what went wrong while it read a body; ours comes out again."""
    match exc.__cause__:
        case Refusal() as refusal:
            return refusal
        case TidegateError() as error:
            return problems.refusal_of(error)
        case _:
            return exc


def _invalid(exc: RequestValidationError) -> Refusal:
    """Parameters that don't fit; where they stand (query, path) is no part of a field's name."""
    faults = [(".".join(str(part) for part in fault["loc"][1:]), plainly(str(fault["msg"]))) for fault in exc.errors()]
    return problems.invalid(faults)
