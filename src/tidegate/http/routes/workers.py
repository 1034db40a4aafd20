"""The route that shows who is at work."""

from collections.abc import Iterable
from enum import Enum

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.http.face import Face, author_of, told
from tidegate.http.openapi import refusals
from tidegate.http.schemas.operations import WorkerItem, WorkerList
from tidegate.worker.identity import pid_of

TAGS: list[str | Enum] = ["workers"]


class WorkerRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self) -> Response:
        """List the workers, and holders of leases that have fallen silent."""
        engine = self._face.system.engine
        holders = await engine.holders()  # first: one that comes between the two must not look silent
        workers = await engine.workers()
        return told(WorkerList(items=[*map(_item, workers), *_silent(holders, workers)]))


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`. Each asks who it is for."""
    router.add_api_route(
        "/workers",
        WorkerRoutes(face).find,
        response_model=WorkerList,
        responses=refusals(400, 503),
        tags=TAGS,
        dependencies=[Depends(author_of)],
    )


def _item(worker: WorkerInfo) -> WorkerItem:
    return WorkerItem(
        id=worker.owner,
        stale=False,
        host=worker.host,
        pid=worker.pid,
        started_at=worker.started_at,
        version=worker.version,
        slots=worker.slots,
        running=worker.busy,
        queues=list(worker.queues),
        types=list(worker.types),
    )


def _silent(holders: Iterable[Owner], workers: Iterable[WorkerInfo]) -> list[WorkerItem]:
    heard = {worker.owner for worker in workers}
    return [
        WorkerItem(
            id=owner,
            stale=True,
            host=None,
            pid=pid_of(owner),
            started_at=None,
            version=None,
            slots=None,
            running=None,
            queues=[],
            types=[],
        )
        for owner in holders
        if owner not in heard
    ]
