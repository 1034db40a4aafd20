"""Before a claim: what lapsed leaves the lines, what became due joins them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.engines.sql.sqlite.ledger import Stand
from tidegate.engines.sql.sqlite.placing import Arrival, place
from tidegate.engines.sql.sqlite.records import STAND
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import numbers

SWEEP: Final = 1_000
"""Jobs promoted, or moved out of the way, by one claim at most, so that its cost has a bound."""


class _Due(msgspec.Struct, array_like=True, gc=False):
    """A waiting job that is due."""

    seq: int
    line_id: int
    user_id: str
    priority: int
    rank: int | None
    expires_at: int | None


_LAPSING: Final = """
SELECT json_group_array(json_array(seq, line_id, stage)) FROM (
    SELECT seq, line_id, stage FROM jobs
    WHERE status = 'queued' AND expires_at IS NOT NULL AND stage IN (0, 1) AND expires_at <= ?
    LIMIT 1000
)
"""
_LAPSE: Final = """
UPDATE jobs SET stage = iif(stage = 0, 3, 2)
WHERE seq IN (SELECT value FROM json_each(?)) AND status = 'queued' AND stage IN (0, 1)
"""
_DUE: Final = """
SELECT json_group_array(json_array(seq, line_id, user_id, priority, rank, expires_at)) FROM (
    SELECT seq, line_id, user_id, priority, rank, expires_at FROM jobs
    WHERE status = 'queued' AND stage = 0 AND run_at <= ?
    ORDER BY run_at, seq LIMIT 1000
)
"""

_lapsing: Final = msgspec.json.Decoder(list[tuple[int, int, int]])
_due: Final = msgspec.json.Decoder(list[_Due])


def sweep(session: Session) -> bool:
    """Move jobs past their `expires_at` out of everybody's way; False when there may be more of them."""
    lapsed = session.read(_lapsing, _LAPSING, session.now)
    lapse(session, lapsed)
    return len(lapsed) < SWEEP


def lapse(session: Session, lapsed: Sequence[tuple[int, int, int]]) -> None:
    """Move jobs, each with its line and stage, out of line."""
    if not lapsed:
        return
    ledger = session.ledger
    for _, line_id, stage in lapsed:
        if stage == 1:
            ledger.count(ledger.lines[line_id], Stand.LAPSED, 1)
    session.run(_LAPSE, numbers(seq for seq, _, _ in lapsed))


def promote(session: Session) -> bool:
    """Let due jobs stand in line, in the order they became due; False when there may be more of them."""
    due = session.read(_due, _DUE, session.now)
    late = [job for job in due if job.expires_at is not None and job.expires_at <= session.now]
    if late:
        lapse(session, [(job.seq, job.line_id, 0) for job in late])
    _promote(session, [job for job in due if job.expires_at is None or job.expires_at > session.now])
    return len(due) < SWEEP


def _promote(session: Session, due: Sequence[_Due]) -> None:
    if not due:
        return
    ledger = session.ledger
    lines = [ledger.lines[job.line_id] for job in due]
    arrivals = [Arrival(line, job.user_id, job.priority, job.rank) for line, job in zip(lines, due, strict=True)]
    ranks = place(session, arrivals)
    for line in lines:
        ledger.count(line, Stand.WAITING, -1)
        ledger.count(line, Stand.READY, 1)
    session.write(STAND, [(job.seq, rank) for job, rank in zip(due, ranks, strict=True)])
