"""Routes that show jobs and change their course. Another user's job is as unknown as one that never was."""

from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.job import Job, Phase, Status
from tidegate.core.query import JobQuery
from tidegate.core.waiting import lingers
from tidegate.http.face import Face, Viewer, place, told, whose
from tidegate.http.live.waiting import waited
from tidegate.http.openapi import refusals
from tidegate.http.requests.parameters import HistoryAfter, JobFilter, Waiting
from tidegate.http.schemas import views
from tidegate.http.schemas.jobs import HistoryList, JobList, JobStatus, JobUsage, JobWhole
from tidegate.http.schemas.service import JobTypeList

HISTORY_PAGE = 200
"""Steps in one answer; it is the engines' own limit too."""

TAGS: list[str | Enum] = ["jobs"]
_STATUSES = frozenset(status.value for status in Status)

JobPath = Annotated[str, Path(description="The job's id.", json_schema_extra={"format": "uuid"})]


class JobRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self, request: Request, viewer: Viewer, asked: Annotated[JobFilter, Query()]) -> Response:
        """List your jobs, newest first."""
        page = await self._face.client.find(query_of(asked, whose(request, viewer, asked.user)))
        sight = await self._sight(request, *page.jobs)
        shown = JobList(
            items=[views.job_item(job, sight) for job in page.jobs],
            total=page.total,
            limit=asked.limit,
            offset=asked.offset,
            next=None if page.next is None else str(page.next),
        )
        return told(shown)

    async def show(self, request: Request, viewer: Viewer, job_id: JobPath) -> Response:
        """Show all of a job."""
        job = await self._face.client.get(job_id, user_id=viewer)
        body = await self._face.client.body(job)
        whole = views.whole_job(job, body, await self._sight(request, job))
        return Response(whole, media_type="application/json")

    async def status(
        self, request: Request, viewer: Viewer, job_id: JobPath, asked: Annotated[Waiting, Query()]
    ) -> Response:
        """Show where a job stands, with `wait` once it has ended."""
        if asked.wait is not None:
            return await self._stands(request, await waited(self._face, request, job_id, asked.wait, viewer))
        return await self._stands(request, await self._face.client.get(job_id, user_id=viewer))

    async def history(self, viewer: Viewer, job_id: JobPath, asked: Annotated[HistoryAfter, Query()]) -> Response:
        """Show a job's steps, oldest first."""
        job = await self._face.client.get(job_id, user_id=viewer)
        entries = await self._face.client.history(job, asked.after)
        full = len(entries) == HISTORY_PAGE
        items = [views.history_item(entry) for entry in entries]
        return told(HistoryList(items=items, next=entries[-1].seq if full else None))

    async def usage(self, viewer: Viewer, job_id: JobPath) -> Response:
        """Show what each of a job's runs spent on models."""
        job = await self._face.client.get(job_id, user_id=viewer)
        return told(views.usage(await self._face.client.spent(job)))

    async def cancel(self, request: Request, viewer: Viewer, job_id: JobPath) -> Response:
        """Cancel a waiting job, or ask a running one to stop.

        409 once it has ended.
        """
        return await self._act(request, partial(self._face.client.cancel, job_id, user_id=viewer))

    async def retry(self, request: Request, viewer: Viewer, job_id: JobPath) -> Response:
        """Queue a failed or cancelled job again, as if new.

        409 for any other.
        """
        return await self._act(request, partial(self._face.client.retry, job_id, user_id=viewer))

    async def dismiss(self, request: Request, viewer: Viewer, job_id: JobPath) -> Response:
        """Take a failed job off the dead letters.

        409 for any other.
        """
        return await self._act(request, partial(self._face.client.dismiss, job_id, user_id=viewer))

    async def types(self) -> Response:
        """List the job types, with the schemas of their payloads."""
        return told(JobTypeList(items=[views.job_type_item(known) for known in self._face.application.registry]))

    async def _act(self, request: Request, act: Callable[[], Awaitable[Job]]) -> Response:
        await self._face.count_post(request)
        return await self._stands(request, await act())

    async def _stands(self, request: Request, job: Job) -> Response:
        return told(views.job_status(job, await self._sight(request, job)))

    async def _sight(self, request: Request, *jobs: Job) -> views.Sight:
        health = self._face.system.upstreams
        now = health.now()
        workers = await self._face.lookout.workers() if any(lingers(job, now) for job in jobs) else None
        return views.Sight(
            now=now, link=partial(place, request), look=health.known, shut=health.shut(), workers=workers
        )


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`."""
    jobs = JobRoutes(face)
    one = "/jobs/{job_id}"
    seen, acted = refusals(400, 404, 422, 503), refusals(400, 404, 409, 429, 503)
    router.add_api_route("/jobs", jobs.find, response_model=JobList, responses=refusals(400, 422, 503), tags=TAGS)
    router.add_api_route(one, jobs.show, response_model=JobWhole, responses=refusals(400, 404, 503), tags=TAGS)
    router.add_api_route(f"{one}/status", jobs.status, response_model=JobStatus, responses=seen, tags=TAGS)
    router.add_api_route(f"{one}/history", jobs.history, response_model=HistoryList, responses=seen, tags=TAGS)
    router.add_api_route(
        f"{one}/usage", jobs.usage, response_model=JobUsage, responses=refusals(400, 404, 503), tags=TAGS
    )
    for name, act in (("cancel", jobs.cancel), ("retry", jobs.retry), ("dismiss", jobs.dismiss)):
        router.add_api_route(
            f"{one}/{name}", act, methods=["POST"], response_model=JobStatus, responses=acted, tags=TAGS
        )
    router.add_api_route("/job-types", jobs.types, response_model=JobTypeList, tags=TAGS)


def query_of(asked: JobFilter, user_id: str | None) -> JobQuery:
    """The query that a filter means, on the jobs of one user, None for everybody's."""
    word = asked.status
    stored = word is not None and word in _STATUSES
    return JobQuery(
        status=Status(word) if word is not None and stored else None,
        phase=Phase(word) if word is not None and not stored else None,
        type=asked.type,
        queue=asked.queue,
        upstream=asked.upstream,
        user_id=user_id,
        tag=asked.tag,
        created_from=asked.created_from,
        created_before=asked.created_before,
        error_text=asked.error,
        after=None if asked.cursor is None else int(asked.cursor),
        offset=asked.offset,
        limit=asked.limit,
    )
