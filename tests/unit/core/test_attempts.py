"""What became of each run, as history tells it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tidegate.core.attempts import Attempt, attempts
from tidegate.core.failure import EXPIRED, QUARANTINED
from tidegate.core.job import Counters, Job, JobId, Lane, Refund, Spec, Status
from tidegate.core.lifecycle import MAX_UPSTREAM_FAULTS
from tidegate.core.query import Event, HistoryEntry

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
JOB: Final = Job(
    id=JobId("a"),
    seq=1,
    spec=Spec(type="call"),
    lane=Lane(),
    status=Status.QUEUED,
    created_at=START,
    run_at=START,
    due_at=START,
)

Step = tuple[Event, int, str]
CLAIM: Final = Event.CLAIMED


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def history(*steps: Step) -> list[HistoryEntry]:
    """Steps a second apart, after the submission."""
    all_steps = ((Event.SUBMITTED, 0, ""), *steps)
    return [
        HistoryEntry(seq=second + 1, job_id=JOB.id, at=at(second), event=event, run=run, note=note)
        for second, (event, run, note) in enumerate(all_steps)
    ]


def runs(*steps: Step, job: Job = JOB) -> Sequence[Attempt]:
    return attempts(history(*steps), job)


def failed(runs: int, **refunds: int) -> Job:
    """A job that failed after so many runs, some of them refunded."""
    return replace(JOB, status=Status.FAILED, counters=Counters(runs=runs, **refunds))


def counted(*steps: Step, job: Job = JOB) -> list[bool | None]:
    return [one.counted for one in runs(*steps, job=job)]


def test_a_job_that_never_ran_has_no_runs() -> None:
    assert runs() == ()
    assert runs((Event.CANCELLED, 0, "")) == ()


def test_a_run_under_way_has_no_end_and_nobody_knows_whether_it_will_count() -> None:
    assert runs((CLAIM, 1, "")) == (Attempt(run=1, started_at=at(1)),)


@pytest.mark.parametrize(
    ("end", "note", "counts"),
    [
        (Event.SUCCEEDED, "", True),
        (Event.SUCCEEDED, "degraded", True),
        (Event.RETRIED, "processing_error", True),
        (Event.CANCELLED, "cancelled while running", True),
        (Event.FAILED, "processing_error", True),
        (Event.FAILED, QUARANTINED, False),
        (Event.DEFERRED, "upstream_fault", False),
        (Event.DEFERRED, "crash", False),
        (Event.DEFERRED, "interruption", False),
    ],
)
def test_a_run_ends_once_and_counts_unless_it_was_refunded(end: Event, note: str, counts: bool) -> None:
    [one] = runs((CLAIM, 1, ""), (end, 1, note))
    assert one == Attempt(run=1, started_at=at(1), ended_at=at(2), outcome=end, note=note, counted=counts)


def test_runs_come_in_the_order_they_were_made() -> None:
    found = runs((CLAIM, 1, ""), (Event.RETRIED, 1, "boom"), (CLAIM, 2, ""), (Event.SUCCEEDED, 2, ""))
    assert [(one.run, one.started_at, one.ended_at) for one in found] == [(1, at(1), at(2)), (2, at(3), at(4))]


def test_a_run_whose_lease_was_taken_over_says_so() -> None:
    [one] = runs((CLAIM, 1, ""), (Event.RECLAIMED, 1, "expired"), (Event.DEFERRED, 1, "crash"))
    assert (one.reclaimed, one.outcome, one.note, one.counted) == (True, Event.DEFERRED, "crash", False)


def test_a_wish_to_cancel_is_no_end() -> None:
    [one] = runs((CLAIM, 1, ""), (Event.CANCEL_REQUESTED, 1, ""))
    assert one.outcome is None


def test_what_happens_to_a_job_that_waits_belongs_to_no_run() -> None:
    ended = ((CLAIM, 1, ""), (Event.RETRIED, 1, "boom"))
    waited = ((Event.RECLAIMED, 1, "waited"), (Event.FAILED, 1, EXPIRED), (Event.DISMISSED, 1, ""))
    [one] = runs(*ended, *waited, job=failed(1))
    assert (one.outcome, one.note, one.reclaimed, one.counted) == (Event.RETRIED, "boom", False, True)


def test_whether_the_last_failure_counted_is_read_off_the_job() -> None:
    ends = ((CLAIM, 1, ""), (Event.RETRIED, 1, "boom"), (CLAIM, 2, ""), (Event.FAILED, 2, "boom"))
    assert counted(*ends, job=failed(2)) == [True, True]
    assert counted(*ends, job=failed(2, upstream_faults=1)) == [True, False]


def test_with_a_part_of_the_history_the_counters_say_nothing() -> None:
    assert counted((CLAIM, 1, ""), (Event.FAILED, 1, "boom"), job=failed(2, crashes=2)) == [True]


def test_only_runs_since_the_revival_are_held_against_the_counters() -> None:
    before = ((CLAIM, 1, ""), (Event.FAILED, 1, "boom"), (Event.REVIVED, 1, ""))
    again = ((CLAIM, 2, ""), (Event.FAILED, 2, "boom"))
    revived = replace(failed(2), counters=Counters(runs=2, base=1))
    assert counted(*before, *again, job=revived) == [True, True]
    refunded = replace(failed(2), counters=Counters(runs=2, base=1, upstream_faults=1))
    assert counted(*before, *again, job=refunded) == [True, False]


def test_a_job_that_expired_after_its_revival_keeps_what_was_known_of_its_runs() -> None:
    before = ((CLAIM, 1, ""), (Event.FAILED, 1, "boom"), (Event.REVIVED, 1, ""))
    expired = replace(failed(1), counters=Counters(runs=1, base=1))
    assert counted(*before, (Event.FAILED, 1, EXPIRED), job=expired) == [True]


def test_after_a_day_of_faults_nobody_knows_what_an_earlier_failure_was() -> None:
    faults: list[Step] = []
    for run in range(1, MAX_UPSTREAM_FAULTS):
        faults += [(CLAIM, run, ""), (Event.DEFERRED, run, Refund.UPSTREAM_FAULT.value)]
    last = ((CLAIM, MAX_UPSTREAM_FAULTS, ""), (Event.FAILED, MAX_UPSTREAM_FAULTS, "http_503"), (Event.REVIVED, 50, ""))
    assert counted(*faults, *last)[-1] is None
