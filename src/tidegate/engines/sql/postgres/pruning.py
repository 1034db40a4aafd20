"""prune: forget what is over."""

from typing import Final

from tidegate.core.job import JobId
from tidegate.engines.sql.postgres.store import Store

MOST_FORGOTTEN: Final = 10_000
"""Keys, nonces and grants forgotten by one call at most, each."""

_PRUNE: Final = "SELECT job_id FROM tidegate.prune($1, $2, $3)"


async def prune(store: Store, limit: int) -> list[JobId]:
    """See `ports.JobAdmin.prune`."""
    rows = await store.rows(tuple[str], _PRUNE, store.now, max(limit, 0), MOST_FORGOTTEN)
    return [JobId(job_id) for (job_id,) in rows]
