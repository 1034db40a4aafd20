"""What each step does to a job, field by field."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.core.failure import Failure
from tidegate.core.job import (
    Bury,
    Cancel,
    Counters,
    Defer,
    Job,
    JobId,
    Lane,
    NewJob,
    Progress,
    Refund,
    Retention,
    Retry,
    Settlement,
    Spec,
    Status,
    Succeed,
)
from tidegate.core.query import Event
from tidegate.core.steps import (
    SHORTEST_KEPT,
    accepted,
    claimed,
    ended,
    recorded,
    refunded,
    revived,
    settled,
    waited_out,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OLD = Failure(code="old", message="of the run before")
NEW = Failure(code="new", message="of this run")
HERE, THERE = Lane(upstream="here"), Lane(upstream="there")
SPEC = Spec(
    type="work",
    lane=HERE,
    timeout=HOUR,
    expires_at=NOW + DAY,
    retention=Retention(succeeded=1 * DAY, failed=2 * DAY, cancelled=3 * DAY),
)
QUEUED = Job(
    id=JobId("id"),
    seq=7,
    spec=SPEC,
    lane=HERE,
    status=Status.QUEUED,
    created_at=NOW - DAY,
    run_at=NOW - HOUR,
    due_at=NOW - 2 * HOUR,
    expires_at=NOW + DAY,
    counters=Counters(runs=4, upstream_faults=1, crashes=1, interruptions=1, base=1),
    error=OLD,
    progress=Progress(fraction=0.5),
)
RUNNING = replace(QUEUED, status=Status.RUNNING, started_at=NOW - HOUR, timeout_at=NOW, progress=Progress(fraction=0.1))


@pytest.mark.parametrize(
    ("run_at", "delay", "due_at"),
    [(None, 0 * HOUR, NOW), (None, HOUR, NOW + HOUR), (NOW - DAY, 0 * HOUR, NOW - DAY), (NOW + DAY, HOUR, NOW + DAY)],
)
def test_an_accepted_job_is_due_when_it_asked_to_be(
    run_at: datetime | None, delay: timedelta, due_at: datetime
) -> None:
    job = accepted(NewJob(id=JobId("id"), spec=SPEC, run_at=run_at, delay=delay), 3, NOW)
    assert job == Job(
        id=JobId("id"),
        seq=3,
        spec=SPEC,
        lane=HERE,
        status=Status.QUEUED,
        created_at=NOW,
        run_at=due_at,
        due_at=due_at,
        expires_at=NOW + DAY,
    )


def test_a_claim_counts_a_run_and_starts_its_clock() -> None:
    assert claimed(QUEUED, NOW) == replace(
        QUEUED,
        status=Status.RUNNING,
        counters=replace(QUEUED.counters, runs=5),
        started_at=NOW,
        timeout_at=NOW + HOUR,
        progress=None,
    )


def test_a_job_that_waited_too_long_is_held_without_a_run() -> None:
    assert waited_out(QUEUED) == replace(QUEUED, status=Status.RUNNING)


def test_success_ends_the_job_and_clears_its_error() -> None:
    done = Succeed(result=b"1", result_path="a/b", degraded=True, served_by="other")
    assert settled(RUNNING, done, NOW) == replace(
        RUNNING,
        status=Status.SUCCEEDED,
        finished_at=NOW,
        prune_at=NOW + DAY,
        error=None,
        result_path="a/b",
        degraded=True,
        served_by="other",
    )


def test_a_retry_waits_in_its_lane_with_the_new_error() -> None:
    assert settled(RUNNING, Retry(delay=HOUR, failure=NEW), NOW) == replace(
        RUNNING, status=Status.QUEUED, run_at=NOW + HOUR, error=NEW, timeout_at=None
    )


@pytest.mark.parametrize(("failure", "error"), [(None, OLD), (NEW, NEW)])
@pytest.mark.parametrize(("lane", "waits_in"), [(None, HERE), (THERE, THERE)])
def test_a_deferral_refunds_the_run(failure: Failure | None, error: Failure, lane: Lane | None, waits_in: Lane) -> None:
    deferral = Defer(delay=HOUR, refund=Refund.CRASH, failure=failure, lane=lane)
    assert settled(RUNNING, deferral, NOW) == replace(
        RUNNING,
        status=Status.QUEUED,
        run_at=NOW + HOUR,
        error=error,
        timeout_at=None,
        counters=replace(RUNNING.counters, crashes=2),
        lane=waits_in,
    )


@pytest.mark.parametrize(("refund", "faults"), [(None, 1), (Refund.UPSTREAM_FAULT, 2)])
def test_a_burial_ends_the_job_as_failed_and_may_refund(refund: Refund | None, faults: int) -> None:
    assert settled(RUNNING, Bury(failure=NEW, refund=refund), NOW) == replace(
        RUNNING,
        status=Status.FAILED,
        finished_at=NOW,
        prune_at=NOW + 2 * DAY,
        error=NEW,
        counters=replace(RUNNING.counters, upstream_faults=faults),
    )


def test_a_cancel_ends_the_job_and_keeps_what_is_known_of_it() -> None:
    assert settled(RUNNING, Cancel(note="n"), NOW) == replace(
        RUNNING, status=Status.CANCELLED, finished_at=NOW, prune_at=NOW + 3 * DAY
    )


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_finished_job_is_kept_for_a_while_whatever_was_asked(status: Status) -> None:
    hasty = replace(RUNNING, spec=replace(SPEC, retention=Retention(succeeded=HOUR, failed=HOUR, cancelled=HOUR)))
    assert ended(hasty, status, NOW).prune_at == NOW + HOUR
    instant = replace(
        RUNNING, spec=replace(SPEC, retention=Retention(succeeded=0 * HOUR, failed=0 * HOUR, cancelled=0 * HOUR))
    )
    assert ended(instant, status, NOW).prune_at == NOW + SHORTEST_KEPT


def test_a_revived_job_is_new_but_for_its_age_and_runs() -> None:
    buried = settled(replace(RUNNING, lane=THERE, cancel_requested_at=NOW), Bury(failure=NEW), NOW)
    later = NOW + DAY
    assert revived(replace(buried, dismissed_at=NOW), later) == Job(
        id=JobId("id"),
        seq=7,
        spec=SPEC,
        lane=HERE,
        status=Status.QUEUED,
        created_at=NOW - DAY,
        run_at=later,
        due_at=later,
        counters=Counters(runs=4, base=4),
    )


def test_each_refund_has_its_counter_and_takes_one_attempt_back() -> None:
    before = Counters(runs=5)
    assert refunded(before, None) is before
    assert refunded(before, Refund.UPSTREAM_FAULT) == Counters(runs=5, upstream_faults=1)
    assert refunded(before, Refund.CRASH) == Counters(runs=5, crashes=1)
    assert refunded(before, Refund.INTERRUPTION) == Counters(runs=5, interruptions=1)
    assert [refunded(before, cause).attempts for cause in Refund] == [4, 4, 4]
    assert RUNNING.attempts == 0


@pytest.mark.parametrize(
    ("settlement", "entry"),
    [
        (Succeed(), (Event.SUCCEEDED, "")),
        (Succeed(degraded=True), (Event.SUCCEEDED, "degraded")),
        (Retry(delay=HOUR, failure=NEW), (Event.RETRIED, "new")),
        (Defer(delay=HOUR, refund=Refund.UPSTREAM_FAULT, failure=NEW), (Event.DEFERRED, "upstream_fault")),
        (Bury(failure=NEW), (Event.FAILED, "new")),
        (Cancel(note="stopped"), (Event.CANCELLED, "stopped")),
    ],
)
def test_history_tells_of_an_ending_in_a_word(settlement: Settlement, entry: tuple[Event, str]) -> None:
    assert recorded(settlement) == entry


def test_each_outcome_has_its_own_retention() -> None:
    assert [SPEC.retention.after(status) for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)] == [
        1 * DAY,
        2 * DAY,
        3 * DAY,
    ]


def test_a_lane_names_the_gates_of_its_queue_its_upstream_and_the_parents() -> None:
    assert Lane().gates == ("queue:default",)
    assert Lane(queue="q", upstream="u", parents=("p", "a")).gates == (
        "queue:q",
        "upstream:u",
        "upstream:p",
        "upstream:a",
    )
    assert Lane(parents=("p",)).gates == ("queue:default",)


def test_a_job_is_shown_in_a_few_words() -> None:
    assert repr(QUEUED) == f"<job id: {SPEC.type}, queued>"
