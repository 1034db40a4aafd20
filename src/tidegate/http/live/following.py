"""One job, looked at again and again: what is new of it, as it goes on the wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import chain, repeat
from typing import Final

from tidegate.core.job import Job, Status
from tidegate.core.query import HistoryEntry
from tidegate.errors import EngineError, EngineUnavailable, JobNotFound
from tidegate.http.live.streams import message
from tidegate.http.routes.jobs import HISTORY_PAGE
from tidegate.http.schemas import views
from tidegate.http.schemas.events import PROGRESS, JobEvent, StreamNotice
from tidegate.wiring import System

LOOKS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between two looks that find nothing; the last repeats. Only an end rings: all else is found by looking."""

BREATH: Final = 0.02
"""Seconds between two looks at least, however often it rings."""

_GONE: Final = message("gone", StreamNotice(event="gone").model_dump_json())


class Follower:
    """Tells of one job what it did not tell before. `ended`: nothing more will come; `busy`: more is there already."""

    def __init__(self, system: System, job_id: str, viewer: str | None, after: int) -> None:
        self._system = system
        self._job_id = job_id
        self._viewer = viewer
        self._after = after
        self._seen: Job | None = None
        self._told: Job | None = None
        self.ended = False
        self.busy = False

    async def look(self) -> bytes:
        """What is new. One call of the store where nothing is; raises JobNotFound and EngineUnavailable."""
        client = self._system.client
        job = await client.get(self._job_id, user_id=self._viewer)
        steady = _steady(job)
        entries = [] if steady == self._seen else await client.history(job, self._after)
        newest = await self._newer(job) if entries else job
        whole = len(entries) < HISTORY_PAGE
        self._seen = steady if whole else None
        self.busy = not whole or _steady(newest) != steady
        self.ended = job.status.finished and not self.busy
        return b"".join(self._pieces(entries, newest))

    async def rounds(self, first: bytes) -> AsyncGenerator[bytes, None]:
        """`first`, then whatever is new, until the job has ended."""
        yield first
        pauses = chain(LOOKS, repeat(LOOKS[-1]))
        while not self.ended:
            # Asked for before the look: an ending between the two must be heard, or it is met at the next look.
            bell = asyncio.ensure_future(self._bell(next(pauses)))
            try:
                if piece := await self._tried():
                    yield piece
                    pauses = chain(LOOKS, repeat(LOOKS[-1]))
                if not self.ended and not self.busy:
                    await bell
                    await asyncio.sleep(BREATH)
            finally:
                bell.cancel()

    async def _tried(self) -> bytes:
        try:
            return await self.look()
        except JobNotFound:
            self.ended = True
            return _GONE
        except EngineUnavailable:  # it may be back at the next look
            self.busy = False
            await asyncio.sleep(LOOKS[-1])
            return b""

    async def _bell(self, pause: float) -> None:
        """Return after `pause`, or earlier where something may have happened."""
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(pause):
                await self._system.engine.wait([f"job:{self._job_id}"], timedelta(seconds=pause))

    async def _newer(self, job: Job) -> Job:
        """The job as it is by now: no older than the steps that were read after `job`."""
        try:
            return await self._system.client.get(self._job_id, user_id=self._viewer)
        except JobNotFound:
            return job

    def _pieces(self, entries: list[HistoryEntry], job: Job) -> list[bytes]:
        before, self._told = self._told, job
        if entries:
            self._after = entries[-1].seq
            return [_step(entry, job) for entry in entries]
        known = before.progress if before is not None else None
        moved = job.status is Status.RUNNING and job.progress != known
        return [self._progress(job)] if moved else []

    def _progress(self, job: Job) -> bytes:
        shown = JobEvent(
            seq=None,
            at=self._system.clock.now(),
            event=PROGRESS,
            run=job.counters.runs,
            note="",
            status=job.status,
            attempts=job.attempts,
            progress=views.progress(job),
        )
        return message(PROGRESS, shown.model_dump_json())


def _step(entry: HistoryEntry, job: Job) -> bytes:
    shown = JobEvent(
        seq=entry.seq,
        at=entry.at,
        event=entry.event,
        run=entry.run,
        note=entry.note,
        status=job.status,
        attempts=job.attempts,
        progress=views.progress(job),
    )
    return message(entry.event, shown.model_dump_json(), str(entry.seq))


def _steady(job: Job) -> Job:
    """The job but for what no step changes."""
    return replace(job, progress=None)
