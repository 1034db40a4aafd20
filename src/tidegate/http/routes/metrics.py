"""`/metrics`: numbers for Prometheus, or a few of them as JSON."""

import asyncio
from enum import Enum
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import EngineUnavailable
from tidegate.http.face import Face, told
from tidegate.http.openapi import Object, refusals
from tidegate.http.requests.negotiating import wish
from tidegate.http.schemas.operations import Counts
from tidegate.telemetry.fleet import Fleet

TAGS: list[str | Enum] = ["service"]

PATIENCE: Final = 5.0
"""Seconds that the store may take; scrapers mostly wait for ten."""

JSON: Final = "application/json"
TEXT: Final = "text/plain"
OPEN_METRICS: Final = "application/openmetrics-text"

_FORMS: Final[dict[int | str, Object]] = {
    200: {"content": {form: {"schema": {"type": "string"}} for form in (TEXT, OPEN_METRICS)}}
}


class MetricsRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def metrics(self, request: Request) -> Response:
        """Show metrics, for Prometheus.

        With `Accept: application/json`, the counts of jobs alone.
        """
        accept = ",".join(request.headers.getlist("accept"))
        if _wants_json(accept):
            answer = told(counts(await self._face.lookout.fleet()))
        else:
            body, content_type = self._face.meter.shown(_form(accept), await self._fleet())
            answer = Response(body, headers={"Content-Type": content_type})
        answer.headers["Vary"] = "Accept"
        return answer

    async def _fleet(self) -> Fleet | None:
        """None where the store does not answer: what this process counted is told all the same."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._face.lookout.fleet()
        except (EngineUnavailable, TimeoutError):
            return None


def counts(fleet: Fleet) -> Counts:
    """How many jobs stand where."""
    lanes = fleet.stats.lanes
    ready, waiting = sum(lane.ready for lane in lanes), sum(lane.waiting for lane in lanes)
    running, succeeded = sum(lane.running for lane in lanes), sum(lane.succeeded for lane in lanes)
    dead, cancelled = sum(lane.dead_letter for lane in lanes), sum(lane.cancelled for lane in lanes)
    failed = dead + sum(lane.failed for lane in lanes)
    return Counts(
        total_jobs=ready + waiting + running + succeeded + failed + cancelled,
        active_jobs=running,
        completed_jobs=succeeded,
        failed_jobs=failed,
        dead_letter_jobs=dead,
        cancelled_jobs=cancelled,
        queue_length=ready,
        retry_queue_length=waiting,
        dlq_length=dead,
        workers=len(fleet.workers),
        oldest_ready_age=fleet.stats.oldest_ready_age.total_seconds(),
    )


def add_routes(router: APIRouter, face: Face) -> None:
    """Put this route on `router`."""
    responses = {**_FORMS, **refusals(503)}
    router.add_api_route("/metrics", MetricsRoutes(face).metrics, response_model=Counts, responses=responses, tags=TAGS)


def _wants_json(accept: str) -> bool:
    """Only who names JSON, and wants nothing else more, gets it."""
    json, text, opened = (wish(accept, form) for form in (JSON, TEXT, OPEN_METRICS))
    return json.exact > 0 and 0 < json.quality >= max(text.quality, opened.quality)


def _form(accept: str) -> str:
    """Which of Prometheus's forms; only who names the newer one gets it."""
    opened = wish(accept, OPEN_METRICS)
    return OPEN_METRICS if opened.exact == 2 and 0 < opened.quality >= wish(accept, TEXT).quality else TEXT
