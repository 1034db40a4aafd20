"""Routes that keep our promises in whatever application they stand: bodies, refusals, headers and links are their own.

No handler and no middleware of that application is needed for it, and none is touched.
"""

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, Final, cast

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from tidegate.core.idempotency import JSON
from tidegate.core.text import plainly
from tidegate.errors import TidegateError
from tidegate.http import problems
from tidegate.http.envelope import Envelope
from tidegate.http.problems import Refusal
from tidegate.http.requests.reading import PATIENCE_SCOPE, parse_json, read_json

BASE_SCOPE: Final = "tidegate.base"
"""In the scope of a request: the path below which our places are, as this client reaches them."""

Answering = Callable[[Request], Coroutine[Any, Any, Response]]


class _Headers(Headers):
    """Headers that are asked for again and again: found by name, not one after the other."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._named: dict[str, list[str]] = {}
        for name, value in self.raw:
            self._named.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def __getitem__(self, key: str) -> str:
        return self._named[key.lower()][0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._named

    def getlist(self, key: str) -> list[str]:
        """Every value of that name."""
        return [*self._named.get(key.lower(), ())]


class StrictRequest(Request):
    """A request whose JSON is read as ours is: counted, in time, and only what means one thing."""

    @property
    def headers(self) -> Headers:
        """Its headers."""
        if not hasattr(self, "_headers"):
            self._headers = _Headers(self.scope)
        return self._headers

    async def body(self) -> bytes:
        """The whole body; raises TooLarge and Refusal."""
        if not hasattr(self, "_body"):
            self._body = await read_json(self)
        return self._body

    async def json(self) -> JSON:
        """What the body means; raises Refusal."""
        return parse_json(await self.body())


class OwnRoute(APIRoute):
    """A route of ours. `patience` is how long a body of JSON may take, `names` are the paths without parameters.

    `plain` answers a request without a query as the route does, given that its guard let it in; see `straight`.
    """

    patience: Callable[[], timedelta] = staticmethod(lambda: timedelta(seconds=10))
    names: frozenset[str] = frozenset()
    plain: Answering | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route: a place with a name of its own is nobody's parameter."""
        match, child = super().matches(scope)
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
        await Envelope(super().handle, guest=True)(scope, receive, send)


def own_route(patience: Callable[[], timedelta], kind: type[OwnRoute] = OwnRoute) -> type[OwnRoute]:
    """The routes of one application."""
    return cast("type[OwnRoute]", type(kind.__name__, (kind,), {"patience": staticmethod(patience)}))


def straighten(router: APIRouter, plain: Answering) -> None:
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
