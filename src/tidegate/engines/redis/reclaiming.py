"""reclaim: take over leases that nobody keeps."""

from typing import Final

from tidegate.core.job import Lease, Owner, Token
from tidegate.core.verbs import Reason, Reclaimed, ReclaimRequest
from tidegate.engines.redis.codec import Kinds, instant, micros
from tidegate.engines.redis.records import read_job, read_life
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.session import writing
from tidegate.engines.redis.wire import Part

_REASONS: Final = (Reason.EXPIRED, Reason.EXPIRED, Reason.OVERDUE, Reason.WAITED)
"""By the number that the store has for them; they count from 1."""


async def reclaim(scripts: Scripts, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
    """See `ports.JobQueue.reclaim`; a thousand at most."""
    session = await writing(scripts)
    now, life, *told = (part or b"" for part in await session.run("reclaim", nonce, *_asked(request)))
    kinds = await session.kinds(life, told[1::3])
    taken = zip(told[::3], told[1::3], told[2::3], strict=True)
    return [_reclaimed(request.owner, one, kinds, int(now)) for one in taken]


def _asked(request: ReclaimRequest) -> list[Part]:
    only: tuple[Part, ...] = ("",) if request.only is None else ("1", *request.only)
    head: list[Part] = [request.owner, max(request.limit, 0), micros(request.lease_for), micros(request.overdue_by)]
    return [*head, len(request.dead), *request.dead, len(request.keep), *sorted(request.keep), *only]


def _reclaimed(owner: Owner, told: tuple[bytes, bytes, bytes], kinds: Kinds, now: int) -> Reclaimed:
    job_id, record, ends = told
    life = read_life(record)
    lease = Lease(
        job=read_job(job_id.decode(), record, kinds),
        payload=b"",
        token=Token(life.token),
        owner=owner,
        expires_at=instant(int(ends)),
        eras=life.eras,
    )
    return Reclaimed(lease=lease, former=Owner(life.former), reason=_REASONS[life.reason], at=instant(now))
