"""get, bodies, history: what is read of jobs by their ids."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.job import Body, Job, JobId
from tidegate.core.query import Event, HistoryEntry
from tidegate.engines.sql.codec import instant
from tidegate.engines.sql.postgres.rows import SHOWN, read_jobs, uuids
from tidegate.engines.sql.postgres.store import Store

_GET: Final = f"SELECT {SHOWN} FROM tidegate.shown AS shown WHERE shown.id = ANY ($1::uuid[])"
_BODIES: Final = """
SELECT specs.id::text, specs.payload, jobs.result FROM tidegate.specs AS specs
JOIN tidegate.jobs AS jobs ON jobs.seq = specs.seq WHERE specs.id = ANY ($1::uuid[])
"""
_HISTORY: Final = """
SELECT n, $1::text, at, event, run, note FROM tidegate.steps
WHERE seq = (SELECT seq FROM tidegate.specs WHERE id = $1::text::uuid) AND n > $2 ORDER BY n LIMIT $3
"""


class Step(msgspec.Struct, array_like=True, gc=False):
    """A step as it is selected."""

    n: int
    job_id: str
    at: int
    event: Event
    run: int
    note: str

    def entry(self) -> HistoryEntry:
        """The step as a value."""
        job_id, at = JobId(self.job_id), instant(self.at)
        return HistoryEntry(seq=self.n, job_id=job_id, at=at, event=self.event, run=self.run, note=self.note)


async def get(store: Store, job_ids: Sequence[JobId]) -> list[Job | None]:
    """See `ports.JobReader.get`."""
    found = {job.id: job for job in await read_jobs(store, await store.fetch(_GET, uuids(job_ids)))}
    return [found.get(job_id) for job_id in job_ids]


async def bodies(store: Store, job_ids: Sequence[JobId]) -> list[Body | None]:
    """See `ports.JobReader.bodies`."""
    rows = await store.rows(tuple[str, bytes, bytes | None], _BODIES, uuids(job_ids))
    found = {job_id: Body(payload=payload, result=result) for job_id, payload, result in rows}
    return [found.get(job_id) for job_id in job_ids]


async def history(store: Store, job_id: JobId, after: int, limit: int) -> list[HistoryEntry]:
    """See `ports.JobReader.history`."""
    if not uuids([job_id]):
        return []
    return [step.entry() for step in await store.rows(Step, _HISTORY, job_id, after, max(limit, 0))]
