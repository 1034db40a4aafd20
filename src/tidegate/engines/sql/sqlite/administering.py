"""cancel, revive, dismiss: what operators ask for."""

from collections.abc import Sequence
from typing import Final

from tidegate.core.job import JobId, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.engines.sql.sqlite import records
from tidegate.engines.sql.sqlite.ledger import Stand
from tidegate.engines.sql.sqlite.records import Journal, Record
from tidegate.engines.sql.sqlite.session import Session

_ASK: Final = """
UPDATE jobs SET cancel_requested_at = ?, cancelled_by = asked.column2, steps = asked.column3
FROM ({rows}) AS asked WHERE jobs.seq = asked.column1
"""
_REVIVE: Final = """
UPDATE jobs SET status = 'queued', stage = 1, line_id = first_line_id, rank = fresh.column2, revived_by = fresh.column3,
    steps = fresh.column4, run_at = fresh.column5, due_at = fresh.column5, base = runs, upstream_faults = 0,
    crashes = 0, interruptions = 0, expires_at = NULL, started_at = NULL, finished_at = NULL, timeout_at = NULL,
    cancel_requested_at = NULL, dismissed_at = NULL, prune_at = NULL, progress_fraction = NULL,
    progress_message = NULL, result_path = NULL, error_code = NULL, error_message = NULL, error_more = NULL,
    degraded = 0, served_by = NULL
FROM ({rows}) AS fresh WHERE jobs.seq = fresh.column1
"""
_KEEP_KEYS: Final = """
UPDATE idempotency SET forget_at = NULL FROM ({rows}) AS kept
WHERE user_id = kept.column1 AND key = kept.column2 AND job_id = kept.column3
"""
_DISMISS: Final = """
UPDATE jobs SET dismissed_at = ?, steps = gone.column2 FROM ({rows}) AS gone WHERE jobs.seq = gone.column1
"""


def cancel(session: Session, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
    """See `ports.JobAdmin.cancel`."""
    known, journal = records.read(session, job_ids), Journal(session)
    ended: list[Record] = []
    asked: list[Record] = []
    answers = []
    for record in (known.get(job_id) for job_id in job_ids):
        if record is None or record.cancelled_by == nonce:
            pass  # unknown, or it did its work before, whatever became of the job since
        elif record.status is Status.QUEUED:
            record.cancelled_by = nonce
            records.move(session, record, Status.CANCELLED)
            journal.note(record, Event.CANCELLED)
            ended.append(record)
        elif record.status is Status.RUNNING and not record.cancelling:
            record.cancelled_by, record.cancelling = nonce, True
            journal.note(record, Event.CANCEL_REQUESTED)
            asked.append(record)
        answers.append(_cancellation(record, nonce))
    records.end_as_cancelled(session, ended)
    session.write(_ASK, [(record.seq, nonce, record.steps) for record in asked], session.now)
    journal.write()
    _touch(session, [*ended, *asked])
    return answers


def _cancellation(record: Record | None, nonce: str) -> Cancellation:
    """What a wish came to, told from what the record is now."""
    if record is None:
        return Cancellation.UNKNOWN
    if record.status is Status.RUNNING and record.cancelling:
        return Cancellation.REQUESTED
    return Cancellation.CANCELLED if record.cancelled_by == nonce else Cancellation.FINISHED


def revive(session: Session, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
    """See `ports.JobAdmin.revive`."""
    known, journal = records.read(session, job_ids), Journal(session)
    revived: list[Record] = []
    answers = []
    for record in (known.get(job_id) for job_id in job_ids):
        if record is None:
            answers.append(Revival.UNKNOWN)
        elif record.revived_by == nonce:
            answers.append(Revival.REVIVED)
        elif record.status not in (Status.FAILED, Status.CANCELLED):
            answers.append(Revival.ILLEGAL)
        else:
            records.leave(session, record)
            record.revived_by, record.line_id, record.rank = nonce, record.first_line_id, None
            record.status, record.dismissed, record.cancelling = Status.QUEUED, False, False
            journal.note(record, Event.REVIVED)
            revived.append(record)
            answers.append(Revival.REVIVED)
    _write_revived(session, revived)
    journal.write()
    _touch(session, revived)
    return answers


def _write_revived(session: Session, revived: Sequence[Record]) -> None:
    records.stand_in_line(session, revived)
    rows = [(job.seq, job.rank, job.revived_by, job.steps, session.now) for job in revived]
    session.write(_REVIVE, rows)
    session.write(_KEEP_KEYS, [(job.user_id, job.key, job.id) for job in revived if job.key is not None])


def dismiss(session: Session, job_ids: Sequence[JobId]) -> list[Dismissal]:
    """See `ports.JobAdmin.dismiss`."""
    known, journal = records.read(session, job_ids), Journal(session)
    gone: list[Record] = []
    answers = []
    for record in (known.get(job_id) for job_id in job_ids):
        if record is None:
            answers.append(Dismissal.UNKNOWN)
        elif record.status is not Status.FAILED:
            answers.append(Dismissal.ILLEGAL)
        else:
            if record.stand is Stand.DEAD_LETTER:
                records.leave(session, record)
                record.dismissed = True
                records.enter(session, record, Status.FAILED)
                journal.note(record, Event.DISMISSED)
                gone.append(record)
            answers.append(Dismissal.DISMISSED)
    session.write(_DISMISS, [(record.seq, record.steps) for record in gone], session.now)
    journal.write()
    return answers


def _touch(session: Session, touched: Sequence[Record]) -> None:
    for record in touched:
        session.touched |= {f"job:{record.id}", f"queue:{session.ledger.lines[record.line_id].lane.queue}"}
