"""claim: lease ready jobs to one owner."""

from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from tidegate.core.job import Job, JobId, Lease, Owner, Token
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.sql.codec import JobRow, instant, micros
from tidegate.engines.sql.postgres.rows import read_jobs
from tidegate.engines.sql.postgres.store import Store

_CLAIM: Final = """
SELECT * FROM tidegate.claim(
    $1::bigint, $2::text, $3::text, $4::text[], $5::integer[], $6::text[], $7::integer, $8::bigint, $9::integer,
    $10::text[], $11::bigint[]
)
"""
_WIDTH: Final = len(JobRow.__struct_fields__)
_MOST: Final = 2**31 - 1

_eras: Final = msgspec.json.Decoder(dict[str, int])


async def claim(store: Store, request: ClaimRequest, nonce: str) -> Claimed:
    """See `ports.JobQueue.claim`."""
    *rows, news = await store.fetch(
        _CLAIM,
        store.now,
        nonce,
        request.owner,
        [turn.queue for turn in request.turns],
        [min(turn.quota, _MOST) for turn in request.turns],
        list(request.types),
        min(request.limit, _MOST),
        micros(request.lease_for),
        request.share,
        list(request.held),
        list(request.held.values()),
    )
    jobs = await read_jobs(store, rows)
    wake_at = news["wake_at"]
    return Claimed(
        at=instant(news["at"]),
        leases=tuple(_lease(job, row, request.owner) for job, row in zip(jobs, rows, strict=True)),
        more=news["more"],
        wake_at=None if wake_at is None else instant(wake_at),
        cancelling=tuple(map(JobId, news["cancelling"])),
        overdue=news["overdue"],
        version=news["version"],
    )


def _lease(job: Job, row: asyncpg.Record, owner: Owner) -> Lease:
    payload, token, expires_at, eras = row[_WIDTH : _WIDTH + 4]
    return Lease(
        job=job, payload=payload, token=Token(token), owner=owner, expires_at=instant(expires_at), eras=read_eras(eras)
    )


def read_eras(text: str | None) -> Mapping[str, int]:
    """The eras of a lease's gates, by name."""
    return {} if text is None else _eras.decode(text)
