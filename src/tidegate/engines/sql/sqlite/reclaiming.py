"""reclaim: take over leases that nobody keeps."""

import json
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from tidegate.core.job import Lease, Owner, Token
from tidegate.core.verbs import Reason, Reclaimed, ReclaimRequest
from tidegate.engines.sql.codec import JOB_COLUMNS, JobRow, instant, micros, read_job
from tidegate.engines.sql.sqlite.claiming import nonce_known, remember_nonce
from tidegate.engines.sql.sqlite.ledger import Stand
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import numbers

_Taken: TypeAlias = tuple[int, Reason, int | None, int]
"""A job by its seq, why it is taken, the line it waited in (None where it ran), and its stage there."""

_LEASES: Final = """
SELECT seq, expires_at AS since, NULL AS line_id, 0 AS stage,
    CASE WHEN reason = 'waited' THEN 'waited' WHEN timeout_at <= ? THEN 'overdue' ELSE 'expired' END AS why
FROM leases
WHERE (expires_at <= ? OR timeout_at <= ? AND reason IS NULL OR owner IN (SELECT value FROM json_each(?)))
    AND token NOT IN (SELECT value FROM json_each(?))
"""
_WAITING: Final = """
SELECT * FROM (
    SELECT seq, expires_at AS since, line_id, stage, 'waited' AS why FROM jobs
    WHERE status = 'queued' AND expires_at IS NOT NULL AND stage = {stage} AND expires_at <= ?
    ORDER BY expires_at, seq LIMIT ?
)
"""
_CHOSEN: Final = """
SELECT json_group_array(json_array(seq, why, line_id, stage)) FROM (
    SELECT seq, why, line_id, stage FROM ({candidates}) ORDER BY since, seq LIMIT ?
)
"""
_OF_ALL: Final = _CHOSEN.format(
    candidates=" UNION ALL ".join([_LEASES, *(_WAITING.format(stage=stage) for stage in range(4))])
)
_OF_SOME: Final = _CHOSEN.format(
    candidates=f"""
    {_LEASES} AND seq IN (SELECT seq FROM jobs WHERE id IN (SELECT value FROM json_each(?)))
    UNION ALL
    SELECT seq, expires_at AS since, line_id, stage, 'waited' AS why FROM jobs
    WHERE id IN (SELECT value FROM json_each(?)) AND +status = 'queued' AND +expires_at <= ?
"""
)
_RUN: Final = """
UPDATE jobs SET status = 'running', stage = 0 WHERE seq IN (SELECT value FROM json_each(?))
"""
_LEASE: Final = """
INSERT INTO leases (seq, token, reason, nonce, owner, claimed_by, expires_at, eras)
SELECT taken.column1, taken.column2, taken.column3, ?, ?, ?, ?, '{}' FROM ({rows}) AS taken
"""
_TAKE_OVER: Final = """
UPDATE leases SET nonce = ?, owner = ?, expires_at = ?, token = taken.column2, reason = taken.column3
FROM ({rows}) AS taken WHERE leases.seq = taken.column1
"""
_STEP: Final = "UPDATE jobs SET steps = steps + 1 WHERE seq IN (SELECT value FROM json_each(?))"
_HISTORY: Final = """
INSERT INTO history (seq, n, at, event, run, note)
SELECT jobs.seq, jobs.steps, ?, 'reclaimed', jobs.runs, taken.column2
FROM ({rows}) AS taken CROSS JOIN jobs ON jobs.seq = taken.column1
"""
_UNDER: Final = f"""
SELECT {JOB_COLUMNS}, leases.token, leases.expires_at, leases.eras, leases.claimed_by, leases.reason
FROM leases CROSS JOIN jobs ON jobs.seq = leases.seq WHERE leases.owner = ? AND leases.nonce = ?
"""


class _Held(JobRow):
    """A job under a reaper's lease."""

    token: str
    lease_expires_at: int
    eras: str
    claimed_by: str
    reason: Reason


_taken: Final = msgspec.json.Decoder(list[_Taken])
_eras: Final = msgspec.json.Decoder(dict[str, int])


def reclaim(session: Session, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
    """See `ports.JobQueue.reclaim`."""
    if not nonce_known(session, nonce):
        taken = _choose(session, request)
        if not taken:
            return []
        _take_over(session, request, nonce, taken)
    rows = session.rows(_Held, _UNDER, request.owner, nonce)
    rows.sort(key=lambda row: int(row.token.rpartition(".")[2]))
    return [_answer(session, row, request.owner) for row in rows]


def _choose(session: Session, request: ReclaimRequest) -> list[_Taken]:
    now, late, limit = session.now, session.now - micros(request.overdue_by), max(request.limit, 0)
    lost = (late, now, late, json.dumps(request.dead), json.dumps(sorted(request.keep)))
    if request.only is None:
        return session.read(_taken, _OF_ALL, *lost, *(now, limit) * 4, limit)
    only = json.dumps(request.only)
    return session.read(_taken, _OF_SOME, *lost, only, only, now, limit)


def _take_over(session: Session, request: ReclaimRequest, nonce: str, taken: Sequence[_Taken]) -> None:
    until, owner = session.now + micros(request.lease_for), request.owner
    tokens = [(seq, f"{nonce}.{place}", why.value) for place, (seq, why, _, _) in enumerate(taken)]
    waited = {seq for seq, _, line_id, _ in taken if line_id is not None}
    _start(session, taken)
    session.run(_RUN, numbers(waited))
    session.write(_LEASE, [row for row in tokens if row[0] in waited], nonce, owner, owner, until)
    session.write(_TAKE_OVER, [row for row in tokens if row[0] not in waited], nonce, owner, until)
    session.run(_STEP, numbers(seq for seq, *_ in taken))
    session.write(_HISTORY, [(seq, why.value) for seq, why, _, _ in taken], session.now)
    remember_nonce(session, nonce, request.lease_for)


def _start(session: Session, taken: Sequence[_Taken]) -> None:
    """Tally the jobs that waited as running."""
    ledger = session.ledger
    for _, _, line_id, stage in taken:
        if line_id is not None:
            line = ledger.lines[line_id]
            ledger.count(line, Stand.READY if stage in (1, 2) else Stand.WAITING, -1)
            ledger.count(line, Stand.LAPSED, -1 if stage == 2 else 0)
            ledger.count(line, Stand.RUNNING, 1)


def _answer(session: Session, row: _Held, owner: Owner) -> Reclaimed:
    lease = Lease(
        job=read_job(row, session.ledger.kinds),
        payload=b"",
        token=Token(row.token),
        owner=owner,
        expires_at=instant(row.lease_expires_at),
        eras=_eras.decode(row.eras),
    )
    return Reclaimed(lease=lease, former=Owner(row.claimed_by), reason=row.reason, at=instant(session.now))
