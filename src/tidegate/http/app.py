"""The FastAPI application: its routes, its answers to errors, and a lifespan that opens the store."""

import asyncio

from fastapi import APIRouter, Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from tidegate.app import Tidegate
from tidegate.clock import SystemClock
from tidegate.http import openapi, problems
from tidegate.http.docs_page import add_docs
from tidegate.http.envelope import Envelope
from tidegate.http.face import Face, place, told
from tidegate.http.guards.auth import Gatekeeper
from tidegate.http.guards.edge import Edge
from tidegate.http.guards.guessing import Guesses
from tidegate.http.guards.keyring import KeyRing
from tidegate.http.guards.limits import Limits
from tidegate.http.lifespan import tidegate_lifespan
from tidegate.http.live.rooms import Rooms
from tidegate.http.problems import Refusal
from tidegate.http.routes import (
    attempts,
    bulk_actions,
    bulk_submitting,
    dead_letters,
    events,
    health,
    jobs,
    keys,
    metrics,
    queues,
    results,
    schedules,
    submitting,
    uploads,
    upstreams,
    webhooks,
    workers,
)
from tidegate.http.routing import name_places, own_route
from tidegate.http.schemas.service import Index
from tidegate.http.straight import Around, Straight
from tidegate.http.watching.lookout import Lookout
from tidegate.http.watching.meter import Meter
from tidegate.http.watching.metering import Metering
from tidegate.wiring import VERSION


class Api(FastAPI):
    """The application; its own server answers what `straight` takes without it."""

    straight: Straight

    def openapi(self) -> openapi.Object:
        """The OpenAPI document, made once."""
        return openapi.document(self)


def create_app(application: Tidegate, *, worker: bool = True, stopping: asyncio.Event | None = None) -> Api:
    """The HTTP face of `application`. Its lifespan opens the store and, with `worker`, runs jobs.

    Whoever serves it sets `stopping` when the server stops: that ends streams and long polls, which it would wait for.
    """

    face, gatekeeper = faced(application, stopping)
    app = Api(
        title="Tidegate",
        version=VERSION,
        lifespan=tidegate_lifespan(application, worker=worker),
        dependencies=[Depends(gatekeeper)],
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = own_route(lambda: face.settings.http_receive_timeout)
    app.router.add_api_route("/", _index, name="index", response_model=Index, tags=["service"])
    add_docs(app)
    add_routes(app.router, face, gatekeeper)
    app.add_middleware(Metering, metrics=face.meter.metrics, clock=SystemClock())
    app.add_middleware(Edge, settings=lambda: face.settings)
    app.add_middleware(Envelope)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, refused)
    around = Around(
        gatekeeper=gatekeeper, metrics=face.meter.metrics, clock=SystemClock(), settings=lambda: face.settings
    )
    app.straight = Straight(app, around)
    return app


def faced(application: Tidegate, stopping: asyncio.Event | None = None) -> tuple[Face, Gatekeeper]:
    """What routes work with, and who stands before them."""
    limits = Limits(lambda: application.system.engine)
    ring = KeyRing(lambda: application.system.engine, SystemClock(), lambda: application.system.settings.admin_key)
    rooms = Rooms(lambda: application.system.settings)
    lookout, meter = Lookout(application), Meter(application, rooms.counts)
    face = Face(application, limits, ring, lookout, meter, rooms, stopping=stopping or asyncio.Event())
    guesses = Guesses(limits, SystemClock())
    return face, Gatekeeper(ring, lambda: application.system.settings, guesses, face.address)


def add_routes(router: APIRouter, face: Face, gatekeeper: Gatekeeper) -> None:
    """Put every route of the API on `router`."""
    for routes in (
        submitting,
        bulk_submitting,
        bulk_actions,
        jobs,
        attempts,
        dead_letters,
        events,
        results,
        uploads,
        queues,
        upstreams,
        workers,
        schedules,
        webhooks,
        health,
        metrics,
    ):
        routes.add_routes(router, face)
    keys.add_routes(router, face, gatekeeper)
    name_places(router.routes)


async def _index(request: Request) -> Response:
    """Say what this is."""
    docs, document = place(request, "/docs"), place(request, "/openapi.json")
    return told(Index(name="tidegate", version=VERSION, docs=docs, openapi=document))


async def refused(request: Request, exc: Exception) -> Response:
    """The problem that a refusal is answered by."""
    match exc:
        case Refusal():
            return problems.respond(request, exc)
        case HTTPException():
            return problems.respond(request, _unroutable(request, exc))
        case _:
            raise exc


def _unroutable(request: Request, exc: HTTPException) -> Refusal:
    match exc.status_code:
        case 404:
            return Refusal(problems.NOT_FOUND, "see /docs for what there is")
        case 405:
            allowed = ", ".join(sorted(_methods(request)))
            refusal = Refusal(problems.METHOD_NOT_ALLOWED, f"{request.method} is not for this place: use {allowed}")
            refusal.headers = {"Allow": allowed}
            return refusal
        case _:
            return Refusal(problems.BAD_REQUEST, str(exc.detail))


def _methods(request: Request) -> set[str]:
    """What any route takes at this path: the framework looks at the first one only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in fitting for method in getattr(route, "taken", route.methods) or ()}
