"""The FastAPI application: its routes, its answers to errors, and a lifespan that opens the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from tidegate.app import Tidegate
from tidegate.errors import TidegateError
from tidegate.http import health, jobs, openapi, problems, queues, results, submitting, uploads, upstreams
from tidegate.http.envelope import Envelope
from tidegate.http.face import Face, place, told
from tidegate.http.limits import Limits
from tidegate.http.problems import Refusal
from tidegate.http.schemas import Index
from tidegate.wiring import VERSION


def create_app(application: Tidegate, *, worker: bool = True) -> FastAPI:
    """The HTTP face of `application`. Its lifespan opens the store and, with `worker`, runs jobs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with application if worker else application.connected():
            yield

    app = _Api(
        title="Tidegate",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )
    face = Face(application, Limits(lambda: application.system.engine))
    app.router.add_api_route("/", _index, name="index", response_model=Index, tags=["service"])
    for routes in (submitting, jobs, results, uploads, queues, upstreams, health):
        routes.add_routes(app.router, face)
    app.add_middleware(Envelope)
    for error in (Refusal, TidegateError, RequestValidationError, HTTPException):
        app.add_exception_handler(error, _refused)
    return app


class _Api(FastAPI):
    def openapi(self) -> openapi.Object:
        """The OpenAPI document, made once."""
        return openapi.document(self)


async def _index(request: Request) -> Response:
    """Say what this is."""
    docs, document = place(request, "/docs"), place(request, "/openapi.json")
    return told(Index(name="tidegate", version=VERSION, docs=docs, openapi=document))


async def _refused(request: Request, exc: Exception) -> Response:
    match exc:
        case Refusal():
            return problems.respond(request, exc)
        case TidegateError():
            return problems.respond(request, problems.refusal_of(exc))
        case RequestValidationError():
            return problems.respond(request, _invalid(exc))
        case HTTPException():
            return problems.respond(request, _unroutable(request, exc))
        case _:
            raise exc


def _invalid(exc: RequestValidationError) -> Refusal:
    """Parameters that don't fit; where they stand (query, path) is no part of a field's name."""
    faults = [(".".join(str(part) for part in fault["loc"][1:]), str(fault["msg"])) for fault in exc.errors()]
    return problems.invalid(faults)


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
    return {method for route in fitting for method in route.methods or ()}
