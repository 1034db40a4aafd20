"""cancel, revive, dismiss: what operators ask for."""

from collections.abc import Sequence
from typing import Final

from tidegate.core.job import JobId
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.engines.sql.postgres.rows import uuids
from tidegate.engines.sql.postgres.store import Store

_CANCEL: Final = "SELECT job_id, answer, in_queue FROM tidegate.cancel($1, $2::uuid[], $3)"
_REVIVE: Final = "SELECT job_id, answer, in_queue FROM tidegate.revive($1, $2::uuid[], $3)"
_DISMISS: Final = "SELECT job_id, answer FROM tidegate.dismiss($1, $2::uuid[])"


async def cancel(store: Store, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
    """See `ports.JobAdmin.cancel`."""
    found = await _ask(store, _CANCEL, job_ids, nonce)
    return [Cancellation(found.get(job_id, Cancellation.UNKNOWN)) for job_id in job_ids]


async def revive(store: Store, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
    """See `ports.JobAdmin.revive`."""
    found = await _ask(store, _REVIVE, job_ids, nonce)
    return [Revival(found.get(job_id, Revival.UNKNOWN)) for job_id in job_ids]


async def dismiss(store: Store, job_ids: Sequence[JobId]) -> list[Dismissal]:
    """See `ports.JobAdmin.dismiss`."""
    found = dict(await store.rows(tuple[str, str], _DISMISS, store.now, uuids(job_ids)))
    return [Dismissal(found.get(job_id, Dismissal.UNKNOWN)) for job_id in job_ids]


async def _ask(store: Store, sql: str, job_ids: Sequence[JobId], nonce: str) -> dict[str, str]:
    """The answer for each job there is; those that wait for the jobs or their queues are woken."""
    rows = await store.rows(tuple[str, str, str], sql, store.now, uuids(job_ids), nonce)
    store.ring(topic for job_id, _, queue in rows for topic in (f"job:{job_id}", f"queue:{queue}"))
    return {job_id: answer for job_id, answer, _ in rows}
