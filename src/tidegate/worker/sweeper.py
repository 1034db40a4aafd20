"""Remove files that nothing refers to: old uploads, and folders of jobs that are known no more.

The second kind is what a crash between pruning a job and clearing its folder leaves. Several workers may
sweep: removing twice harms nothing.
"""

import asyncio
from datetime import datetime, timedelta

from tidegate.core.ids import is_uuid
from tidegate.core.job import JobId
from tidegate.core.paths import job_prefix
from tidegate.errors import ArtifactError, EngineUnavailable
from tidegate.worker.runtime import Runtime

EVERY = timedelta(hours=1)
OLD = timedelta(hours=24)
"""Younger folders are left alone: their job may be about to be settled, or to be pruned in the ordinary way."""

BATCH = 200


class Sweeper:
    """Sweeps for one worker, about every hour."""

    def __init__(self, to: Runtime) -> None:
        self._to = to

    async def work(self) -> None:
        """Sweep, rest; for ever."""
        while True:
            await asyncio.sleep(EVERY.total_seconds() * (0.5 + self._to.dice()))
            try:
                await self.sweep()
            except (ArtifactError, EngineUnavailable):
                continue  # the next sweep finds what is left

    async def sweep(self) -> int:
        """Remove what is old and unknown; how many uploads and jobs' folders. Raises ArtifactError."""
        now = self._to.clock.now()
        uploads = await self._to.sweep_uploads(now - self._to.settings.upload_kept)
        return uploads + await self._sweep_jobs(now - OLD)

    async def _sweep_jobs(self, before: datetime) -> int:
        """A folder counts as old when everything found in it is."""
        newest: dict[JobId, datetime] = {}
        async for found in self._to.artifacts.list("jobs"):
            job_id = JobId(found.path.split("/")[1])
            newest[job_id] = max(found.modified_at, newest.get(job_id, found.modified_at))
        old = [job_id for job_id, at in newest.items() if at < before and is_uuid(job_id)]
        gone: list[JobId] = []
        for start in range(0, len(old), BATCH):
            asked = old[start : start + BATCH]
            known = await self._to.engine.get(asked)
            gone += [job_id for job_id, job in zip(asked, known, strict=True) if job is None]
        for job_id in gone:
            await self._to.artifacts.delete_prefix(job_prefix(job_id))
        return len(gone)
