"""The route that shows a job's runs one by one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from tidegate.core.attempts import Attempt, attempts
from tidegate.core.job import Job
from tidegate.core.ledger import Entry
from tidegate.core.query import HistoryEntry
from tidegate.errors import ArtifactError
from tidegate.http.face import Face, Viewer, told
from tidegate.http.openapi import refusals
from tidegate.http.routes.jobs import HISTORY_PAGE, TAGS, JobPath
from tidegate.http.schemas import views
from tidegate.http.schemas.operations import AttemptItem, AttemptList

MOST_PAGES: Final = 50
"""Pages of a job's history that are read for one answer: 10,000 steps."""


class AttemptRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def attempts(self, viewer: Viewer, job_id: JobPath) -> Response:
        """List a job's runs: when, how each ended, whether it counts as an attempt, what it spent.

        The first 10,000 steps of its history are read.
        """
        job = await self._face.client.get(job_id, user_id=viewer)
        found = attempts(await self._history(job), job)
        spent = await self._spent(job)
        return told(AttemptList(items=[_item(one, spent) for one in found]))

    async def _history(self, job: Job) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        for _ in range(MOST_PAGES):
            page = await self._face.client.history(job, entries[-1].seq if entries else 0)
            entries += page
            if len(page) < HISTORY_PAGE:
                break
        return entries

    async def _spent(self, job: Job) -> Mapping[int, Sequence[Entry]] | None:
        """What was spent by run; None where the artifact store is away."""
        spent = defaultdict[int, list[Entry]](list)
        try:
            for entry in await self._face.client.spent(job):
                spent[entry.run].append(entry)
        except ArtifactError:
            return None
        return spent


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    router.add_api_route(
        "/jobs/{job_id}/attempts",
        AttemptRoutes(face).attempts,
        response_model=AttemptList,
        responses=refusals(400, 404, 503),
        tags=TAGS,
    )


def _item(one: Attempt, spent: Mapping[int, Sequence[Entry]] | None) -> AttemptItem:
    usage = None if spent is None else views.usage(spent.get(one.run, ())).items
    return AttemptItem.model_validate(
        {
            "run": one.run,
            "started_at": one.started_at,
            "ended_at": one.ended_at,
            "outcome": "running" if one.outcome is None else one.outcome.value,
            "note": one.note,
            "counted": one.counted,
            "reclaimed": one.reclaimed,
            "usage": usage,
        }
    )
