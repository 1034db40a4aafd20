"""reclaim: take over leases that nobody keeps."""

from typing import Final

import asyncpg

from tidegate.core.job import Job, Lease, Owner, Token
from tidegate.core.verbs import Reason, Reclaimed, ReclaimRequest
from tidegate.engines.sql.codec import JobRow, instant, micros
from tidegate.engines.sql.postgres.claiming import read_eras
from tidegate.engines.sql.postgres.rows import SHOWN, read_jobs, uuids
from tidegate.engines.sql.postgres.store import NOW, Store

_RECLAIM: Final = f"""
SELECT {SHOWN}, shown.token, shown.lease_until, shown.eras, shown.claimed_by, shown.reason, {NOW} AS at
FROM tidegate.reclaim(
    $1::bigint, $2::text, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::text[], $8::text[], $9::uuid[]
) AS shown
"""
_WIDTH: Final = len(JobRow.__struct_fields__)


async def reclaim(store: Store, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
    """See `ports.JobQueue.reclaim`."""
    rows = await store.fetch(
        _RECLAIM,
        store.now,
        nonce,
        request.owner,
        max(request.limit, 0),
        micros(request.lease_for),
        micros(request.overdue_by),
        list(request.dead),
        list(request.keep),
        None if request.only is None else uuids(request.only),
    )
    jobs = await read_jobs(store, rows)
    return [_answer(job, row, request.owner) for job, row in zip(jobs, rows, strict=True)]


def _answer(job: Job, row: asyncpg.Record, owner: Owner) -> Reclaimed:
    token, expires_at, eras, claimed_by, reason, at = row[_WIDTH:]
    lease = Lease(
        job=job, payload=b"", token=Token(token), owner=owner, expires_at=instant(expires_at), eras=read_eras(eras)
    )
    return Reclaimed(lease=lease, former=Owner(claimed_by), reason=Reason(reason), at=instant(at))
