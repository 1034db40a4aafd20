"""settle: end runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from tidegate.core import steps
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Cancel, Defer, Ending, Refund, Retry, Settlement, Status, Succeed
from tidegate.core.verbs import Settled
from tidegate.engines.sql.codec import Draft, micros, write_failure
from tidegate.engines.sql.sqlite import records
from tidegate.engines.sql.sqlite.ledger import Line, Stand
from tidegate.engines.sql.sqlite.placing import Arrival, place
from tidegate.engines.sql.sqlite.records import Journal, Record
from tidegate.engines.sql.sqlite.session import Row, Session
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
class _Batch:
    """What the endings come to, gathered in their order and written together."""

    ended: list[Record] = field(default_factory=list)
    succeeded: list[tuple[Record, Succeed]] = field(default_factory=list)
    failed: list[tuple[Record, Bury]] = field(default_factory=list)
    cancelled: list[Record] = field(default_factory=list)
    back: list["_Back"] = field(default_factory=list)
    arrivals: list["_Back | Draft"] = field(default_factory=list)


@dataclass(slots=True)
class _Back:
    """A job that is queued again, due at `run_at`."""

    record: Record
    settlement: Retry | Defer
    run_at: int


def settle(session: Session, endings: Sequence[Ending], follow_ups: Sequence[Sequence[Draft]]) -> list[Settled]:
    """See `ports.JobQueue.settle`; `follow_ups` are the drafts of each ending's `then`."""
    known = records.read(session, [ending.job_id for ending in endings])
    journal, batch = Journal(session), _Batch()
    answers = []
    for ending, then in zip(endings, follow_ups, strict=True):
        record = known.get(ending.job_id)
        answer = _answer(record, ending)
        answers.append(answer)
