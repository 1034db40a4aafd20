"""Forget jobs whose retention is over: first the job, then its artifacts, so no job points at what is gone."""

import asyncio

from tidegate.core.job import JobId
from tidegate.core.paths import job_prefix
from tidegate.errors import ArtifactError, EngineUnavailable
from tidegate.telemetry.events import Pruned
from tidegate.worker.runtime import Runtime

BATCH = 500


class Pruner:
    """Prunes for one worker, from time to time. Several workers may: pruning twice harms nothing."""

    def __init__(self, to: Runtime) -> None:
        self._to = to

    async def work(self) -> None:
        """Prune, rest; for ever."""
        while True:
            await asyncio.sleep(self._to.settings.prune_every.total_seconds() * (0.9 + 0.2 * self._to.dice()))
            try:
                while await self.sweep() == BATCH:
                    pass
            except EngineUnavailable:
                continue

    async def sweep(self) -> int:
        """Prune one batch; how many jobs are gone. Raises EngineUnavailable."""
        gone = await self._to.engine.prune(BATCH)
        for job_id in gone:
            await self._clear(job_id)
        if gone:
            self._to.emit(Pruned(count=len(gone)))
        return len(gone)

    async def _clear(self, job_id: JobId) -> None:
        try:
            await self._to.artifacts.delete_prefix(job_prefix(job_id))
        except ArtifactError:
            return  # left for the sweeper, which finds folders of jobs that are known no more
