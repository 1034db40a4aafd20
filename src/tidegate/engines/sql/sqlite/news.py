"""What a claim tells besides its leases."""

from datetime import datetime
from typing import Final

import msgspec

from tidegate.core.job import JobId, Lease
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.sql.codec import instant
from tidegate.engines.sql.sqlite.planning import Plan
from tidegate.engines.sql.sqlite.promoting import SWEEP
from tidegate.engines.sql.sqlite.session import Session

_NEWS: Final = f"""
SELECT json_array(
    (SELECT min(expires_at) FROM leases),
    (SELECT min(run_at) FROM jobs WHERE status = 'queued' AND stage = 0),
    (SELECT min(expires_at) FROM jobs WHERE status = 'queued' AND expires_at IS NOT NULL AND stage = 0),
    (SELECT min(expires_at) FROM jobs WHERE status = 'queued' AND expires_at IS NOT NULL AND stage = 1),
    (SELECT count(*) FROM (SELECT 1 FROM leases WHERE expires_at <= ? LIMIT {SWEEP})),
    (SELECT count(*) FROM (
        SELECT 1 FROM jobs
        WHERE status = 'queued' AND expires_at IS NOT NULL AND stage IN (0, 1, 2, 3) AND expires_at <= ? LIMIT {SWEEP}
    )),
    json((SELECT json_group_array(id) FROM (
        SELECT jobs.id FROM jobs CROSS JOIN leases ON leases.seq = jobs.seq
        WHERE jobs.status = 'running' AND jobs.cancel_requested_at IS NOT NULL AND leases.owner = ?
        ORDER BY jobs.seq
    )))
)
"""


class _News(msgspec.Struct, array_like=True, gc=False):
    lease_ends_at: int | None
    due_at: int | None
    waiting_expires_at: int | None
    ready_expires_at: int | None
    lost: int
    waited: int
    cancelling: tuple[str, ...]


_news: Final = msgspec.json.Decoder(_News)


def told(session: Session, request: ClaimRequest, leases: tuple[Lease, ...], *, more_due: bool) -> Claimed:
    """The whole answer; `more_due` when due jobs may be left that the claim had no time to look at."""
    news = session.read(_news, _NEWS, session.now, session.now, request.owner)
    plan = Plan(session.ledger, request, session.now)
    more = more_due or plan.more()
    return Claimed(
        at=instant(session.now),
        leases=leases,
        more=more,
        wake_at=_wake_at(news, session.now if more else plan.opens_at(), session.now),
        cancelling=tuple(map(JobId, news.cancelling)),
        overdue=min(news.lost + news.waited, SWEEP),
        version=session.ledger.last_version,
    )


def _wake_at(news: _News, opens_at: int | None, now: int) -> datetime | None:
    ends = (news.lease_ends_at, news.due_at, news.waiting_expires_at, news.ready_expires_at, opens_at)
    instants = [at for at in ends if at is not None]
    if news.waited:
        instants.append(now)
    return instant(max(min(instants), now)) if instants else None
