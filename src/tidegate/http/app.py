"""The FastAPI application: routes, errors, and a lifespan that opens the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from tidegate.app import Tidegate
from tidegate.errors import TidegateError
from tidegate.http.envelope import Envelope
from tidegate.http.face import Face
from tidegate.http.limits import Limits
from tidegate.http.problems import Refusal, refusal_of, respond
from tidegate.http.submitting import create_job
from tidegate.wiring import VERSION


def create_app(application: Tidegate, *, worker: bool = True) -> FastAPI:
    """The HTTP face of `application`. Its lifespan opens the store and, with `worker`, runs jobs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with application if worker else application.connected():
            yield

    app = FastAPI(title="Tidegate", version=VERSION, lifespan=lifespan, redirect_slashes=False)
    face = Face(application, Limits(lambda: application.system.engine))

    async def post_job(request: Request) -> Response:
        return await create_job(face, request)
    app.router.add_api_route("/jobs", post_job, methods=["POST"])
    app.add_middleware(Envelope)

    @app.exception_handler(Refusal)
    async def _r(request: Request, exc: Refusal) -> Response:
        return respond(request, exc)
    @app.exception_handler(TidegateError)
    async def _t(request: Request, exc: TidegateError) -> Response:
        return respond(request, refusal_of(exc))
    return app
