"""renew: keep leases, and record progress."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidegate.core.job import JobId, Progress, Token
from tidegate.core.verbs import Beat, Renewal
from tidegate.engines.sql.codec import micros, write_progress
from tidegate.engines.sql.postgres.rows import uuids
from tidegate.engines.sql.postgres.store import Store

_RENEW: Final = """
SELECT id::text, token, cancelling
FROM tidegate.renew($1::bigint, $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint)
"""


async def renew(store: Store, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
    """See `ports.JobQueue.renew`."""
    ids = set(uuids(beat.job_id for beat in beats))
    asked: dict[tuple[JobId, Token], Progress | None] = {}
    for beat in beats:
        lease = (beat.job_id, beat.token)
        if beat.job_id in ids:
            asked[lease] = asked.get(lease) if beat.progress is None else beat.progress
    told = [(None, None) if progress is None else write_progress(progress) for progress in asked.values()]
    rows = await store.fetch(
        _RENEW,
        store.now,
        [job_id for job_id, _ in asked],
        [token for _, token in asked],
        [fraction for fraction, _ in told],
        [message for _, message in told],
        micros(lease_for),
    )
    held = {(job_id, token): Renewal.CANCELLING if cancel else Renewal.HELD for job_id, token, cancel in rows}
    return [held.get((beat.job_id, beat.token), Renewal.LOST) for beat in beats]
