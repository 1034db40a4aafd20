"""settle: end runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from tidegate.core import steps
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Cancel, Defer, Ending, Refund, Retry, Status, Succeed
from tidegate.core.verbs import Settled
from tidegate.engines.sql.codec import later, write_failure
from tidegate.engines.sql.drafting import Draft
from tidegate.engines.sql.sqlite import records
from tidegate.engines.sql.sqlite.placing import Arrival, place
from tidegate.engines.sql.sqlite.records import Journal, Record
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.submitting import Accepted, accept, insert

_SUCCEEDED: Final = """
UPDATE jobs SET status = 'succeeded', rank = NULL, finished_at = ?, error_code = NULL, error_message = NULL,
    error_more = NULL, prune_at = ended.column2, settled_by = ended.column3, steps = ended.column4,
    result_path = ended.column5, degraded = ended.column6, served_by = ended.column7
FROM ({rows}) AS ended WHERE jobs.seq = ended.column1
"""
_RESULTS: Final = "INSERT INTO results (seq, result) {rows}"
_FAILED: Final = """
UPDATE jobs SET status = 'failed', rank = NULL, finished_at = ?, prune_at = ended.column2, settled_by = ended.column3,
    steps = ended.column4, error_code = ended.column5, error_message = ended.column6, error_more = ended.column7,
    upstream_faults = upstream_faults + ended.column8, crashes = crashes + ended.column9,
    interruptions = interruptions + ended.column10
FROM ({rows}) AS ended WHERE jobs.seq = ended.column1
"""
_QUEUED: Final = """
UPDATE jobs SET status = 'queued', timeout_at = NULL, stage = back.column2, rank = back.column3, run_at = back.column4,
    line_id = back.column5, settled_by = back.column6, steps = back.column7,
    error_code = coalesce(back.column8, error_code), error_message = coalesce(back.column9, error_message),
    error_more = coalesce(back.column10, error_more), upstream_faults = upstream_faults + back.column11,
    crashes = crashes + back.column12, interruptions = interruptions + back.column13
FROM ({rows}) AS back WHERE jobs.seq = back.column1
"""


@dataclass(slots=True)
class _Back:
    """A job that is queued again, due at `run_at`."""

    record: Record
    settlement: Retry | Defer
    run_at: int


_Arriving: TypeAlias = _Back | Draft


@dataclass(slots=True)
class _Batch:
    """What the endings come to, gathered in their order and written together."""

    succeeded: list[tuple[Record, Succeed]] = field(default_factory=list)
    failed: list[tuple[Record, Bury]] = field(default_factory=list)
    cancelled: list[Record] = field(default_factory=list)
    arriving: list[_Arriving] = field(default_factory=list)

    def applied(self) -> list[Record]:
        """Every record that an ending was applied to."""
        back = [item.record for item in self.arriving if isinstance(item, _Back)]
        return [job for job, _ in self.succeeded] + [job for job, _ in self.failed] + self.cancelled + back


def settle(session: Session, endings: Sequence[Ending], follow_ups: Sequence[Sequence[Draft]]) -> list[Settled]:
    """See `ports.JobQueue.settle`; `follow_ups` are the drafts of each ending's `then`."""
    known = records.read(session, [ending.job_id for ending in endings])
    journal, batch, answers = Journal(session), _Batch(), []
    for ending, then in zip(endings, follow_ups, strict=True):
        record = known.get(ending.job_id)
        if record is None or record.token != ending.token:
            repeated = record is not None and record.settled_by == ending.token
            answers.append(Settled.APPLIED if repeated else Settled.LOST)
        elif record.cancelling and not isinstance(ending.settlement, Cancel):
            answers.append(Settled.CANCELLING)
        else:
            journal.note(record, *steps.recorded(ending.settlement))
            _apply(session, batch, record, ending)
            _follow(session, batch, then)
            answers.append(Settled.APPLIED)
    _write(session, batch)
    journal.write()
    return answers


def _apply(session: Session, batch: _Batch, record: Record, ending: Ending) -> None:
    record.settled_by, record.token = ending.token, None
    session.touched.add(f"job:{record.id}")
    match ending.settlement:
        case Succeed() as succeed:
            records.move(session, record, Status.SUCCEEDED)
            batch.succeeded.append((record, succeed))
        case Bury() as bury:
            records.move(session, record, Status.FAILED)
            batch.failed.append((record, bury))
        case Cancel():
            records.move(session, record, Status.CANCELLED)
            batch.cancelled.append(record)
        case Retry() | Defer() as settlement:
            batch.arriving.append(_back(session, record, settlement))
        case _:
            assert_never(ending.settlement)


def _back(session: Session, record: Record, settlement: Retry | Defer) -> _Back:
    """Queue a record again: in another line as if new, in its own with the rank it had."""
    records.leave(session, record)
    line = session.ledger.lines[record.line_id]
    if isinstance(settlement, Defer) and settlement.lane is not None and settlement.lane != line.lane:
        line = session.ledger.line(settlement.lane, line.type)
        record.line_id, record.rank = line.id, None
    run_at = later(session.now, settlement.delay)
    ready = run_at <= session.now
    records.enter(session, record, Status.QUEUED, stage=1 if ready else 0)
    if ready:
        session.touched.add(f"queue:{line.lane.queue}")
    return _Back(record, settlement, run_at)


def _follow(session: Session, batch: _Batch, then: Sequence[Draft]) -> None:
    for draft in then:
        session.ledger.line(draft.new.spec.lane, draft.new.spec.type)  # lines are numbered in the order of need
        batch.arriving.append(draft)


# writing it down --------------------------------------------------------------------------------------------


def _write(session: Session, batch: _Batch) -> None:
    applied = batch.applied()
    if not applied:
        return
    records.drop_leases(session, applied)
    _write_succeeded(session, batch.succeeded)
    _write_failed(session, batch.failed)
    records.end_as_cancelled(session, batch.cancelled)
    _write_arriving(session, batch.arriving)


def _write_succeeded(session: Session, ended: Sequence[tuple[Record, Succeed]]) -> None:
    kept = [(job, records.prune_at(job, Status.SUCCEEDED, session.now)) for job, _ in ended]
    rows = [
        (job.seq, until, job.settled_by, job.steps, how.result_path, int(how.degraded), how.served_by)
        for (job, how), (_, until) in zip(ended, kept, strict=True)
    ]
    session.write(_SUCCEEDED, rows, session.now)
    session.write(_RESULTS, [(job.seq, how.result) for job, how in ended if how.result is not None])
    records.forget_keys_later(session, kept)


def _write_failed(session: Session, ended: Sequence[tuple[Record, Bury]]) -> None:
    kept = [(job, records.prune_at(job, Status.FAILED, session.now)) for job, _ in ended]
    rows = [
        (job.seq, until, job.settled_by, job.steps, *write_failure(how.failure), *_refunds(how.refund))
        for (job, how), (_, until) in zip(ended, kept, strict=True)
    ]
    session.write(_FAILED, rows, session.now)
    records.forget_keys_later(session, kept)


def _refunds(cause: Refund | None) -> tuple[int, int, int]:
    """What is added to upstream_faults, crashes and interruptions."""
    causes = (Refund.UPSTREAM_FAULT, Refund.CRASH, Refund.INTERRUPTION)
    faults, crashes, interruptions = (int(cause is counted) for counted in causes)
    return faults, crashes, interruptions


def _write_arriving(session: Session, arriving: Sequence[_Arriving]) -> None:
    """Place what came back and what follows, in one order, then write both."""
    _, accepted = accept(session, [item for item in arriving if isinstance(item, Draft)])
    new = {id(job.draft): job for job in accepted}
    ready: list[tuple[_Back | Accepted, Arrival]] = []
    for item in arriving:
        if isinstance(item, _Back):
            if item.record.stage == 1:
                ready.append((item, _arrival(session, item.record)))
        elif (job := new.get(id(item))) is not None and job.arrival is not None:
            ready.append((job, job.arrival))
    ranks = place(session, [arrival for _, arrival in ready])
    places = [(item, rank) for (item, _), rank in zip(ready, ranks, strict=True)]
    for placed, rank in places:
        if isinstance(placed, _Back):
            placed.record.rank = rank
    session.write(_QUEUED, [_queued_row(item) for item in arriving if isinstance(item, _Back)])
    insert(session, accepted, [rank for item, rank in places if isinstance(item, Accepted)])


def _arrival(session: Session, record: Record) -> Arrival:
    return Arrival(session.ledger.lines[record.line_id], record.user_id, record.priority, record.rank)


def _queued_row(back: _Back) -> tuple[int | str | None, ...]:
    job, settlement = back.record, back.settlement
    error: tuple[str | None, ...] = (None, None, None)
    failure: Failure | None = settlement.failure
    if failure is not None:
        error = write_failure(failure)
    refund = settlement.refund if isinstance(settlement, Defer) else None
    head = (job.seq, job.stage, job.rank, back.run_at, job.line_id, job.settled_by, job.steps)
    return (*head, *error, *_refunds(refund))
