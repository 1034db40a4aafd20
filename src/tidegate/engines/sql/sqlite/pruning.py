"""prune: forget what is over."""

from typing import Final

import msgspec

from tidegate.core.job import JobId, Status
from tidegate.engines.sql.sqlite.ledger import Stand
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import numbers

MOST_FORGOTTEN: Final = 10_000
"""Keys, nonces and grants forgotten by one call at most, each."""

_OVER: Final = """
SELECT json_group_array(json_array(seq, id, line_id, status, json(iif(dismissed_at IS NULL, 'false', 'true')))) FROM (
    SELECT seq, id, line_id, status, dismissed_at FROM jobs WHERE prune_at <= ? ORDER BY prune_at, seq LIMIT ?
)
"""
_FORGET: Final = tuple(
    f"DELETE FROM {table} WHERE seq IN (SELECT value FROM json_each(?))"
    for table in ("jobs", "bodies", "results", "history")
)
_FORGET_KEYS: Final = f"""
DELETE FROM idempotency WHERE (user_id, key) IN (
    SELECT user_id, key FROM (
        SELECT user_id, key, job_id FROM idempotency WHERE forget_at <= ? ORDER BY forget_at LIMIT {MOST_FORGOTTEN}
    ) AS old WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = old.job_id)
)
"""
_FORGET_NONCES: Final = f"""
DELETE FROM nonces WHERE nonce IN (SELECT nonce FROM nonces WHERE until <= ? ORDER BY until LIMIT {MOST_FORGOTTEN})
"""
_FORGET_GRANTS: Final = f"""
DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE until <= ? ORDER BY until LIMIT {MOST_FORGOTTEN})
"""


class _Over(msgspec.Struct, array_like=True, gc=False):
    seq: int
    id: str
    line_id: int
    status: Status
    dismissed: bool

    @property
    def stand(self) -> Stand:
        match self.status:
            case Status.SUCCEEDED:
                return Stand.SUCCEEDED
            case Status.CANCELLED:
                return Stand.CANCELLED
            case _:
                return Stand.FAILED if self.dismissed else Stand.DEAD_LETTER


_over: Final = msgspec.json.Decoder(list[_Over])


def prune(session: Session, limit: int) -> list[JobId]:
    """See `ports.JobAdmin.prune`."""
    over = session.read(_over, _OVER, session.now, max(limit, 0))
    if over:
        seqs = numbers(job.seq for job in over)
        for sql in _FORGET:
            session.run(sql, seqs)
        ledger = session.ledger
        for job in over:
            ledger.count(ledger.lines[job.line_id], job.stand, -1)
    session.run(_FORGET_KEYS, session.now)
    session.run(_FORGET_NONCES, session.now)
    session.run(_FORGET_GRANTS, session.now)
    return [JobId(job.id) for job in over]
