"""claim: lease ready jobs to one owner."""

from collections.abc import Iterator, Sequence
from typing import Final

from tidegate.core.job import JobId, Lease, Token
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.redis.codec import instant, micros
from tidegate.engines.redis.records import read_eras, read_life, read_whole
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.session import writing
from tidegate.engines.redis.wire import Part

MOST: Final = 1_000
"""Jobs that one claim takes at most: `more` tells of the rest."""

_NEWS: Final = 8
_A_LEASE: Final = 5


async def claim(scripts: Scripts, request: ClaimRequest, nonce: str) -> Claimed:
    """See `ports.JobQueue.claim`."""
    session = await writing(scripts)
    answer = [part or b"" for part in await session.run("claim", nonce, *_asked(request))]
    at, more, wake_at, overdue, version, life, repeated, cancelling = answer[:_NEWS]
    first = _NEWS + int(cancelling)
    leased = answer[first:]
    now, kinds = int(at), await session.kinds(life, leased[1::_A_LEASE])
    until = instant(now + micros(request.lease_for))
    leases = []
    for place, (job_id, record, eras, apart, ends) in enumerate(_by_lease(leased)):
        job, payload = read_whole(job_id.decode(), record, kinds)
        token = read_life(record).token if repeated else f"{nonce}.{place}"
        lease = Lease(
            job=job,
            payload=apart or payload,
            token=Token(token),
            owner=request.owner,
            expires_at=instant(int(ends)) if ends else until,
            eras=read_eras(eras),
        )
        leases.append(lease)
    return Claimed(
        at=instant(now),
        leases=tuple(leases),
        more=more == b"1",
        wake_at=instant(int(wake_at)) if wake_at else None,
        cancelling=tuple(JobId(job_id.decode()) for job_id in answer[_NEWS:first]),
        overdue=int(overdue),
        version=int(version),
    )


def _asked(request: ClaimRequest) -> list[Part]:
    turns = [part for turn in request.turns for part in (turn.queue, turn.quota)]
    limits: list[Part] = [min(request.limit, MOST), "" if request.share is None else request.share]
    held = [part for pair in request.held.items() for part in pair]
    types = sorted(request.types)
    head: list[Part] = [request.owner, micros(request.lease_for), *limits]
    return [*head, len(request.turns), *turns, len(types), *types, *held]


def _by_lease(parts: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    return zip(*(parts[place::_A_LEASE] for place in range(_A_LEASE)), strict=True)
