"""claim: lease ready jobs to one owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tidegate.core.job import Job, JobId, Lease, Spec, Status, Token
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.sql.codec import duration, failure_of, instant, micros, read_counters, read_terms, spec_of
from tidegate.engines.sql.postgres.rows import SHOWN, WIDTH, learn_lines, learn_terms, read_jobs
from tidegate.engines.sql.postgres.store import Store

_CLAIM: Final = """
SELECT * FROM tidegate.claim(
    $1::bigint, $2::text, $3::text, $4::text[], $5::integer[], $6::text[], $7::integer, $8::bigint, $9::integer,
    $10::text[], $11::bigint[]
)
"""
_HELD: Final = f"""
SELECT {SHOWN}, shown.payload, shown.token, shown.lease_until, shown.eras FROM tidegate.shown AS shown
WHERE shown.lease_until IS NOT NULL AND shown.owner = $1 AND starts_with(shown.token, $2 || '.')
ORDER BY split_part(shown.token, '.', 2)::integer
"""
"""The leases of an earlier claim, as they are by now."""

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
    at, wake_at = instant(news["at"]), news["wake_at"]
    leases = (
        await _held(store, request, nonce) if news["repeated"] else await _new(store, rows, _Now(request, nonce, at))
    )
    return Claimed(
        at=at,
        leases=tuple(leases),
        more=news["more"],
        wake_at=None if wake_at is None else instant(wake_at),
        cancelling=tuple(map(JobId, news["cancelling"])),
        overdue=news["overdue"],
        version=news["version"],
    )


@dataclass(frozen=True, slots=True)
class _Now:
    """What new leases have in common."""

    request: ClaimRequest
    nonce: str
    at: datetime


async def _held(store: Store, request: ClaimRequest, nonce: str) -> list[Lease]:
    rows = await store.snapshot(lambda connection: connection.fetch(store.address.sql(_HELD), request.owner, nonce))
    leases = []
    for job, row in zip(await read_jobs(store, rows), rows, strict=True):
        payload, token, until, eras = row[WIDTH:]
        lease = Lease(
            job=job,
            payload=payload,
            token=Token(token),
            owner=request.owner,
            expires_at=instant(until),
            eras=read_eras(eras),
        )
        leases.append(lease)
    return leases


class _Row(msgspec.Struct, array_like=True, gc=False):
    """What `claim` tells of a new lease: the columns that no job shares with all that have just been claimed."""

    seq: int
    id: str
    line_id: int
    first_line_id: int
    user_id: str
    priority: int
    tags: str
    run_at: int
    due_at: int
    created_at: int
    expires_at: int | None
    first_expires_at: int | None
    runs: int
    upstream_faults: int
    crashes: int
    interruptions: int
    base: int
    timeout: int
    terms_id: int
    idempotency_key: str | None
    fingerprint: str
    request_id: str
    traceparent: str
    error_code: str | None
    error_message: str | None
    error_more: str | None
    payload: bytes
    eras: str | None


_WIDTH: Final = len(_Row.__struct_fields__)


async def _new(store: Store, records: "Sequence[asyncpg.Record]", now: _Now) -> list[Lease]:
    rows = [msgspec.convert(record[:_WIDTH], _Row) for record in records]
    await learn_lines(store, {number for row in rows for number in (row.line_id, row.first_line_id)})
    await learn_terms(store, {row.terms_id for row in rows})
    until = now.at + now.request.lease_for
    return [
        Lease(
            job=_job(store, row, now.at),
            payload=row.payload,
            token=Token(f"{now.nonce}.{place}"),
            owner=now.request.owner,
            expires_at=until,
            eras=read_eras(row.eras),
        )
        for place, row in enumerate(rows)
    ]


def _job(store: Store, row: _Row, at: datetime) -> Job:
    return Job(
        id=JobId(row.id),
        seq=row.seq,
        spec=_spec(store, row),
        lane=store.kinds[row.line_id][0],
        status=Status.RUNNING,
        created_at=instant(row.created_at),
        run_at=instant(row.run_at),
        due_at=instant(row.due_at),
        expires_at=None if row.expires_at is None else instant(row.expires_at),
        counters=read_counters(row.runs, row.upstream_faults, row.crashes, row.interruptions, row.base),
        started_at=at,
        timeout_at=at + duration(row.timeout),
        error=failure_of(row),
    )


def _spec(store: Store, row: _Row) -> Spec:
    lane, type_ = store.kinds[row.first_line_id]
    return spec_of(row, lane, type_, read_terms(store.terms[row.terms_id]))


def read_eras(text: str | None) -> Mapping[str, int]:
    """The eras of a lease's gates, by name."""
    return {} if text is None else _eras.decode(text)
