"""The route that shows who is at work."""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.http.face import Face, author_of, told
from tidegate.http.openapi import refusals
from tidegate.http.schemas.operations import WorkerItem, WorkerList, WorkerState
from tidegate.worker.identity import pid_of

TAGS: list[str | Enum] = ["workers"]

MOST_GONE: Final = 100
"""Workers that have gone that are shown: one that can't start is started again and again."""


class WorkerRoutes:
    """The endpoint, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self) -> Response:
        """List the workers, holders of leases that have fallen silent, and who has gone within the hour."""
        engine = self._face.system.engine
        holders = await engine.holders()  # first: one that comes between the two must not look silent
        workers, now = await engine.workers(), self._face.system.upstreams.now()
        live = [_item(worker, "live") for worker in workers if worker.lives(now)]
        known = {worker.owner: worker for worker in workers if not worker.lives(now)}
        heard = {worker.owner for worker in workers} - known.keys()
        silent = [_silent(owner, known.pop(owner, None)) for owner in holders if owner not in heard]
        return told(WorkerList(items=[*live, *silent, *map(_gone, _newest(known.values()))]))


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


def _newest(gone: Iterable[WorkerInfo]) -> list[WorkerInfo]:
    return sorted(gone, key=lambda worker: worker.seen_at or worker.started_at, reverse=True)[:MOST_GONE]


def _gone(worker: WorkerInfo) -> WorkerItem:
    return _item(worker, "stopped" if worker.stopped else "lost")


def _item(worker: WorkerInfo, state: WorkerState) -> WorkerItem:
    return WorkerItem(
        id=worker.owner,
        state=state,
        stale=state == "silent",
        last_seen_at=worker.seen_at,
        host=worker.host,
        pid=worker.pid,
        started_at=worker.started_at,
        version=worker.version,
        slots=worker.slots,
        running=worker.busy if state in ("live", "silent") else 0,
        queues=list(worker.queues),
        types=list(worker.types),
    )


def _silent(owner: Owner, known: WorkerInfo | None) -> WorkerItem:
    """Whoever holds leases and is not heard of; after an hour all that is known is in its name."""
    if known is not None:
        return _item(known, "silent")
    return WorkerItem(
        id=owner,
        state="silent",
        stale=True,
        last_seen_at=None,
        host=None,
        pid=pid_of(owner),
        started_at=None,
        version=None,
        slots=None,
        running=None,
        queues=[],
        types=[],
    )
