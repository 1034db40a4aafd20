"""The route that shows dead letters: jobs that have failed and that nobody has dismissed."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.http.face import Face, Viewer
from tidegate.http.openapi import refusals
from tidegate.http.requests.parameters import JobFilter, JobMatch
from tidegate.http.routes.jobs import TAGS, JobRoutes
from tidegate.http.schemas.jobs import JobList


class DeadLetterRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._jobs = JobRoutes(face)

    async def dead_letters(self, request: Request, viewer: Viewer, asked: Annotated[JobMatch, Query()]) -> Response:
        """List your dead letters, newest first: `GET /jobs` with `status=dead_letter`."""
        return await self._jobs.find(request, viewer, JobFilter(status="dead_letter", **asked.model_dump()))


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    router.add_api_route(
        "/dead-letters",
        DeadLetterRoutes(face).dead_letters,
        response_model=JobList,
        responses=refusals(400, 422, 503),
        tags=TAGS,
    )
