"""A short way for plain requests to the places that are knocked at most: from a connection to its route's answer.

The long way, through the server's ASGI cycle, our layers and the framework, costs several times what the answer does.
Here those that come in one turn of the event loop are answered together. What the framework says of the route stays
true, for whatever is not plain goes the long way, and so does everything where another server is around us.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import Scope

from tidegate.clock import Clock
from tidegate.config import Settings
from tidegate.http.envelope import SECURITY_HEADERS, request_id_of
from tidegate.http.guards.auth import Gatekeeper
from tidegate.http.guards.edge import lasting
from tidegate.http.knock import Knock, RawHeaders
from tidegate.http.requests.reading import BODY_SCOPE
from tidegate.http.requests.strict import StrictRequest
from tidegate.http.routing import BASE_SCOPE, OwnRoute
from tidegate.telemetry.metrics import Metrics

Send = Callable[[int, RawHeaders, bytes], None]
"""Sends an answer: its status, its headers, to which the server's own are added, and its body."""


TOGETHER: Final = 16
"""Requests that are looked at together: enough to share what each would cost, few enough to share out the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stands before and around every route, here as on the long way."""

    gatekeeper: Gatekeeper
    metrics: Metrics
    clock: Clock
    settings: Callable[[], Settings]


class Straight:
    """The routes of `app` that have a `plain` answer. `under_way` is how many requests are being answered."""

    def __init__(self, app: FastAPI, around: Around) -> None:
        self._app = app
        self._around = around
        self._plain = {
            (method, route.path): route
            for route in app.routes
            if isinstance(route, OwnRoute) and route.plain is not None
            for method in route.methods or ()
        }
        self._waiting: dict[str, list[Knock]] = {}
        self._tasks = set[asyncio.Task[None]]()
        self._always: RawHeaders = []
        self.under_way = 0

    def takes(self, scope: Scope) -> bool:
        """Whether this is a small request without a query for one of them, and not from another site's page."""
        if scope["query_string"] or (scope["method"], scope["path"]) not in self._plain:
            return False
        for name, value in scope["headers"]:
            if name == b"origin" or (name == b"content-length" and len(value) > len(b"99999")):
                return False
        return True

    def take(self, scope: Scope, body: bytes, send: Send) -> None:
        """Answer a request that it takes, whose whole body is here, with those that come in this turn of the loop."""
        route = self._plain[scope["method"], scope["path"]]
        scope["app"], scope["route"], scope[BASE_SCOPE], scope[BODY_SCOPE] = self._app, route, "", body
        scope["state"]["request_id"] = request_id_of(scope["headers"])

        def tell(knock: Knock, status: int, headers: RawHeaders, body: bytes) -> None:
            self.under_way -= 1
            send(status, self._counted(knock, status, headers), body)

        knock = Knock(StrictRequest(scope), self._around.clock.monotonic(), tell)
        self.under_way += 1
        waiting = self._waiting.get(route.unique_id)
        if waiting is None:
            self._waiting[route.unique_id] = [knock]
            self._go_on(self._turn(route))
        else:
            waiting.append(knock)

    def _counted(self, knock: Knock, status: int, headers: RawHeaders) -> RawHeaders:
        """Count an answer; all its headers."""
        scope, around = knock.request.scope, self._around
        around.metrics.request(scope["route"].path, scope["method"], status, around.clock.monotonic() - knock.began)
        if not self._always:
            always = {**SECURITY_HEADERS, **lasting(around.settings())}
            self._always = [(name.lower().encode(), value.encode()) for name, value in always.items()]
        return [*headers, (b"x-request-id", scope["state"]["request_id"].encode()), *self._always]

    def _go_on(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _turn(self, route: OwnRoute) -> None:
        """Answer some at a time, so that the store works on the first ones while we look at the others."""
        knocks = self._waiting.pop(route.unique_id)
        for first in range(0, len(knocks), TOGETHER):
            self._go_on(self._let_in(route, knocks[first : first + TOGETHER]))
            await asyncio.sleep(0)

    async def _let_in(self, route: OwnRoute, knocks: Sequence[Knock]) -> None:
        """Answer those that are known at once; who else asks, the store is asked of each."""
        known = list[Knock]()
        for knock in knocks:
            try:
                if self._around.gatekeeper.at_once(knock.request):
                    known.append(knock)
                else:
                    self._go_on(self._ask(route, knock))
            except Exception as exc:
                knock.refuse(exc)
        await _answer(route, known)

    async def _ask(self, route: OwnRoute, knock: Knock) -> None:
        try:
            await self._around.gatekeeper(knock.request)
        except Exception as exc:
            knock.refuse(exc)
        else:
            await _answer(route, [knock])


async def _answer(route: OwnRoute, knocks: Sequence[Knock]) -> None:
    assert route.plain is not None
    try:
        await route.plain(knocks)
    except Exception as exc:
        for knock in knocks:
            if not knock.told:
                knock.refuse(exc)
