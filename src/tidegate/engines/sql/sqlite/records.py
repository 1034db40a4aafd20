"""What a verb must know of a job to take it a step further, and the steps that several verbs take."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.idempotency import TTL_AFTER_END
from tidegate.core.job import JobId, Status
from tidegate.core.query import Event
from tidegate.core.steps import SHORTEST_KEPT
from tidegate.engines.sql.codec import later, micros, read_terms
from tidegate.engines.sql.sqlite.ledger import Stand
from tidegate.engines.sql.sqlite.placing import Arrival, place
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import Value, numbers


class Record(msgspec.Struct, array_like=True, gc=False):
    """One job as it stands; a verb keeps it up to date while it goes through its batch."""

    seq: int
    id: str
    status: Status
    stage: int
    line_id: int
    first_line_id: int
    user_id: str
    priority: int
    rank: int | None
    runs: int
    steps: int
    terms: str
    key: str | None
    cancelling: bool
    dismissed: bool
    settled_by: str | None
    cancelled_by: str | None
    revived_by: str | None
    token: str | None

    @property
    def stand(self) -> Stand:
        """What it is tallied as."""
        match self.status:
            case Status.QUEUED:
                return Stand.READY if self.stage in (1, 2) else Stand.WAITING
            case Status.RUNNING:
                return Stand.RUNNING
            case Status.SUCCEEDED:
                return Stand.SUCCEEDED
            case Status.FAILED:
                return Stand.FAILED if self.dismissed else Stand.DEAD_LETTER
            case Status.CANCELLED:
                return Stand.CANCELLED


COLUMNS: Final = """
jobs.seq, jobs.id, jobs.status, jobs.stage, jobs.line_id, jobs.first_line_id, jobs.user_id, jobs.priority, jobs.rank,
jobs.runs, jobs.steps, jobs.terms, jobs.idempotency_key,
json(iif(jobs.cancel_requested_at IS NULL, 'false', 'true')), json(iif(jobs.dismissed_at IS NULL, 'false', 'true')),
jobs.settled_by, jobs.cancelled_by, jobs.revived_by, leases.token
"""
_READ: Final = f"""
SELECT json_group_array(json_array({COLUMNS}))
FROM ({{rows}}) AS asked CROSS JOIN jobs ON jobs.id = asked.column1 LEFT JOIN leases ON leases.seq = jobs.seq
"""
_INSERT_HISTORY: Final = "INSERT INTO history (seq, n, at, event, run, note) {rows}"
_KEYS_FORGOTTEN_AT: Final = """
UPDATE idempotency SET forget_at = ended.column4 FROM ({rows}) AS ended
WHERE user_id = ended.column1 AND key = ended.column2 AND job_id = ended.column3
"""
_DROP_LEASES: Final = "DELETE FROM leases WHERE seq IN (SELECT value FROM json_each(?))"
_LIMITED: Final = """
SELECT json_group_array(json_array(gate, era)) FROM lease_gates WHERE seq IN (SELECT value FROM json_each(?))
"""
_DROP_LIMITED: Final = "DELETE FROM lease_gates WHERE seq IN (SELECT value FROM json_each(?))"
_ENDED_CANCELLED: Final = """
UPDATE jobs SET status = 'cancelled', stage = 0, rank = NULL, finished_at = ?, prune_at = ended.column2,
    settled_by = coalesce(ended.column3, settled_by), cancelled_by = ended.column4, steps = ended.column5
FROM ({rows}) AS ended WHERE jobs.seq = ended.column1
"""
STAND: Final = """
UPDATE jobs SET stage = 1, rank = ready.column2 FROM ({rows}) AS ready WHERE jobs.seq = ready.column1
"""

_records: Final = msgspec.json.Decoder(list[Record])
_gates: Final = msgspec.json.Decoder(list[tuple[str, int]])


def read(session: Session, job_ids: Sequence[JobId]) -> dict[str, Record]:
    """The jobs of some ids, as they stand."""
    rows = [(job_id,) for job_id in dict.fromkeys(job_ids)]
    return {record.id: record for record in session.read_each(_records, _READ, rows)}


class Journal:
    """History entries of one verb, written together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[tuple[Value, ...]] = []

    def note(self, record: Record, event: Event, note: str = "") -> None:
        """Add an entry to the job's history."""
        record.steps += 1
        self._rows.append((record.seq, record.steps, self._session.now, event.value, record.runs, note))

    def write(self) -> None:
        """Write all that was noted."""
        self._session.write(_INSERT_HISTORY, self._rows)


def leave(session: Session, record: Record) -> None:
    """Tally a record out of where it stands."""
    line = session.ledger.lines[record.line_id]
    session.ledger.count(line, record.stand, -1)
    if record.status is Status.QUEUED and record.stage == 2:
        session.ledger.count(line, Stand.LAPSED, -1)


def enter(session: Session, record: Record, status: Status, *, stage: int = 0) -> None:
    """Tally a record where it goes; its line is already the one it goes to."""
    record.status, record.stage = status, stage
    session.ledger.count(session.ledger.lines[record.line_id], record.stand, 1)


def move(session: Session, record: Record, status: Status) -> None:
    """Tally a record where it goes, within its line."""
    leave(session, record)
    enter(session, record, status)


def prune_at(record: Record, status: Status, now: int) -> int:
    """Until when a job that ends now as `status` is kept."""
    kept = max(read_terms(record.terms).retention.after(status), SHORTEST_KEPT)
    return later(now, kept)


def forget_keys_later(session: Session, ended: Sequence[tuple[Record, int]]) -> None:
    """Begin the last day of the keys of jobs that ended, each with its `prune_at`.

    A key outlives its job, so it is not looked at again before that is due to be pruned.
    """
    day = session.now + micros(TTL_AFTER_END)
    keyed = [(job.user_id, job.key, job.id, max(day, kept)) for job, kept in ended if job.key is not None]
    session.write(_KEYS_FORGOTTEN_AT, keyed)


def drop_leases(session: Session, records: Sequence[Record]) -> None:
    """Their runs are over: they hold no lease and count against no gate."""
    seqs = numbers(record.seq for record in records)
    session.run(_DROP_LEASES, seqs)
    ledger = session.ledger
    if not ledger.limited:
        return
    for name, era in session.read(_gates, _LIMITED, seqs):
        ledger.limited -= 1
        gate = ledger.gates.get(name)
        if gate is not None and gate.era == era:
            gate.running -= 1
    session.run(_DROP_LIMITED, seqs)


def end_as_cancelled(session: Session, records: Sequence[Record]) -> None:
    """Write records that were moved to CANCELLED; with their keys, without their leases."""
    kept = [prune_at(record, Status.CANCELLED, session.now) for record in records]
    rows = [
        (record.seq, until, record.settled_by, record.cancelled_by, record.steps)
        for record, until in zip(records, kept, strict=True)
    ]
    session.write(_ENDED_CANCELLED, rows, session.now)
    forget_keys_later(session, list(zip(records, kept, strict=True)))


def stand_in_line(session: Session, records: Sequence[Record]) -> None:
    """Place records, whose `rank` is what they keep of an earlier one, in this order in their lines."""
    lines = session.ledger.lines
    arrivals = [Arrival(lines[job.line_id], job.user_id, job.priority, job.rank) for job in records]
    for record, rank in zip(records, place(session, arrivals), strict=True):
        enter(session, record, Status.QUEUED, stage=1)
        record.rank = rank
