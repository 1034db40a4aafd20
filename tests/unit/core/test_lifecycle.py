"""What becomes of a job, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

import pytest

from tidegate.core import failure as codes
from tidegate.core.failure import Failure
from tidegate.core.job import (
    Bury,
    Cancel,
    Cancelled,
    Counters,
    Defer,
    Expired,
    Interrupted,
    Job,
    JobId,
    Lane,
    Lost,
    Outcome,
    Phase,
    Raised,
    Refund,
    Retry,
    Returned,
    Settlement,
    Spec,
    Status,
    Succeed,
    TimedOut,
    UpstreamFailed,
    UpstreamRefused,
)
from tidegate.core.lifecycle import (
    EXPIRED,
    LEGAL,
    MAX_CRASHES,
    MAX_SYSTEM_CRASHES,
    MAX_UPSTREAM_AGE,
    MAX_UPSTREAM_FAULTS,
    TIMEOUT_GRACE,
    decide,
    overdue,
    phase,
)
from tidegate.core.query import Stats
from tidegate.core.retry import DEFAULT, Rule, Steps

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
FLAKY = Failure(code="flaky", message="try again")
FATAL = Failure(code="fatal", message="don't", transient=False)
LANE = Lane(upstream="a", parents=("p", "q"))
MIDDLE = 0.5
"""Dice that spread nothing."""


class JobChanges(TypedDict, total=False):
    """The fields of `Job` that these cases change."""

    spec: Spec
    status: Status
    run_at: datetime
    due_at: datetime
    counters: Counters
    timeout_at: datetime | None
    cancel_requested_at: datetime
    dismissed_at: datetime
    degraded: bool


def running(**changes: Unpack[JobChanges]) -> Job:
    """A job in its first run, due an hour ago, a minute into a timeout of 10."""
    plain = Job(
        id=JobId("id"),
        seq=1,
        spec=Spec(type="work", lane=LANE),
        lane=LANE,
        status=Status.RUNNING,
        created_at=NOW - timedelta(hours=1),
        run_at=NOW - timedelta(hours=1),
        due_at=NOW - timedelta(hours=1),
        counters=Counters(runs=1),
        started_at=NOW - timedelta(minutes=1),
        timeout_at=NOW + timedelta(minutes=9),
    )
    return replace(plain, **changes)


def decided(job: Job, outcome: Outcome, dice: float = MIDDLE) -> Settlement:
    return decide(job, outcome, now=NOW, dice=dice)


def upstream_failed(retry_after: timedelta | None = None) -> UpstreamFailed:
    return UpstreamFailed(lane=LANE, failure=replace(FLAKY, retry_after=retry_after))


def test_a_return_succeeds_with_all_it_brought() -> None:
    outcome = Returned(result=b"1", result_path="a/b", degraded=True, served_by="other")
    assert decided(running(), outcome) == Succeed(result=b"1", result_path="a/b", degraded=True, served_by="other")


@pytest.mark.parametrize(("runs", "wait"), [(1, 1), (2, 5)])
def test_the_default_policy_waits_1_s_and_then_5_s(runs: int, wait: int) -> None:
    job = running(counters=Counters(runs=runs))
    assert decided(job, Raised(failure=FLAKY)) == Retry(delay=wait * SECOND, failure=FLAKY)


def test_the_third_failure_of_the_default_policy_is_the_last() -> None:
    assert decided(running(counters=Counters(runs=3)), Raised(failure=FLAKY)) == Bury(failure=FLAKY)


def test_only_attempts_count_against_the_policy() -> None:
    counters = Counters(runs=50, upstream_faults=20, crashes=2, interruptions=20, base=7)
    assert decided(running(counters=counters), Raised(failure=FLAKY)) == Retry(delay=SECOND, failure=FLAKY)


def test_a_failure_that_is_not_transient_is_final() -> None:
    assert decided(running(), Raised(failure=FATAL)) == Bury(failure=FATAL)


def test_a_rule_for_the_error_decides_before_the_policy() -> None:
    spec = Spec(type="work", retry=replace(DEFAULT, rules=(Rule(error="flaky", retry=False),)))
    assert decided(running(spec=spec), Raised(failure=FLAKY)) == Bury(failure=FLAKY)


def test_a_retry_after_is_waited_for() -> None:
    told = replace(FLAKY, retry_after=40 * SECOND)
    assert decided(running(), Raised(failure=told)) == Retry(delay=40 * SECOND, failure=told)


def test_dice_spread_the_wait() -> None:
    spec = Spec(type="work", retry=replace(DEFAULT, backoff=Steps(delays=(10 * SECOND,), jitter=0.1)))
    waits = [decided(running(spec=spec), Raised(failure=FLAKY), dice) for dice in (0.0, 0.5)]
    assert waits == [Retry(delay=9 * SECOND, failure=FLAKY), Retry(delay=10 * SECOND, failure=FLAKY)]


def test_a_timeout_is_final_unless_the_job_asked_for_retries() -> None:
    final = decided(running(), TimedOut())
    assert isinstance(final, Bury)
    assert (final.failure.code, final.failure.transient) == (codes.TIMEOUT, False)
    assert "600 s" in final.failure.message
    again = decided(running(spec=Spec(type="work", retry_on_timeout=True)), TimedOut())
    assert isinstance(again, Retry)
    assert (again.failure.code, again.delay) == (codes.TIMEOUT, SECOND)


def test_a_shut_upstream_costs_nothing_and_the_job_goes_back_to_the_line_it_was_shut_in() -> None:
    other = Lane(upstream="b")
    assert decided(running(), UpstreamRefused(lane=other)) == Defer(
        delay=SECOND, refund=Refund.INTERRUPTION, lane=other
    )


@pytest.mark.parametrize(("faults", "wait"), [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (48, 60)])
def test_a_failing_upstream_is_not_held_against_the_job_and_waited_for_ever_longer(faults: int, wait: int) -> None:
    job = running(counters=Counters(runs=faults + 1, upstream_faults=faults))
    failed = upstream_failed()
    assert decided(job, failed) == Defer(
        delay=wait * SECOND, refund=Refund.UPSTREAM_FAULT, failure=failed.failure, lane=LANE
    )


def test_an_upstream_s_own_retry_after_is_waited_for() -> None:
    settlement = decided(running(), upstream_failed(retry_after=90 * SECOND), dice=0.0)
    assert isinstance(settlement, Defer)
    assert settlement.delay == 90 * SECOND


@pytest.mark.parametrize(
    ("faults", "age", "buried"),
    [
        (MAX_UPSTREAM_FAULTS - 1, MAX_UPSTREAM_AGE, True),
        (MAX_UPSTREAM_FAULTS - 2, 9 * MAX_UPSTREAM_AGE, False),
        (9 * MAX_UPSTREAM_FAULTS, MAX_UPSTREAM_AGE - TICK, False),
    ],
)
def test_a_job_is_buried_for_its_upstream_only_after_many_faults_and_a_day(
    faults: int, age: timedelta, buried: bool
) -> None:
    job = running(counters=Counters(runs=faults + 1, upstream_faults=faults), due_at=NOW - age)
    failed = upstream_failed()
    settlement = decided(job, failed)
    assert (settlement == Bury(failure=failed.failure, refund=Refund.UPSTREAM_FAULT)) is buried
    assert isinstance(settlement, Defer) is not buried


def test_a_run_that_was_cancelled_ends_as_cancelled() -> None:
    assert decided(running(), Cancelled()) == Cancel(note="cancelled while running")


def test_an_interrupted_run_is_given_back_at_once_unless_its_type_asked_to_fail() -> None:
    assert decided(running(), Interrupted()) == Defer(delay=0 * SECOND, refund=Refund.INTERRUPTION)
    fatal = decided(running(), Interrupted(fatal=True))
    assert isinstance(fatal, Bury)
    assert (fatal.failure.code, fatal.failure.transient, fatal.refund) == (codes.WORKER_SHUTDOWN, False, None)


def test_a_lease_lost_by_a_worker_that_lives_is_no_crash() -> None:
    assert decided(running(), Lost(owner_alive=True)) == Defer(delay=0 * SECOND, refund=Refund.INTERRUPTION)


@pytest.mark.parametrize(("crashes", "wait"), [(0, 0), (1, 5)])
def test_the_first_crash_waits_for_nothing_and_the_second_a_while(crashes: int, wait: int) -> None:
    settlement = decided(running(counters=Counters(runs=crashes + 1, crashes=crashes)), Lost())
    assert isinstance(settlement, Defer)
    assert (settlement.delay, settlement.refund) == (wait * SECOND, Refund.CRASH)
    assert settlement.failure is not None
    assert settlement.failure.code == codes.CRASHED


def test_the_third_crash_is_the_last() -> None:
    settlement = decided(running(counters=Counters(runs=3, crashes=MAX_CRASHES - 1)), Lost())
    assert isinstance(settlement, Bury)
    assert (settlement.failure.code, settlement.failure.transient) == (codes.QUARANTINED, False)
    assert settlement.refund is Refund.CRASH
    assert "3 times" in settlement.failure.message


@pytest.mark.parametrize(("before", "buries"), [(MAX_CRASHES, False), (MAX_SYSTEM_CRASHES - 1, True)])
def test_a_job_of_tidegate_s_own_bears_a_hundred_crashes(before: int, buries: bool) -> None:
    lost = running(counters=Counters(runs=before + 1, crashes=before), spec=Spec(type="tidegate.bulk", lane=LANE))
    assert isinstance(decided(lost, Lost()), Bury if buries else Defer)


@pytest.mark.parametrize("alive", [False, True])
def test_a_lost_run_that_is_overdue_timed_out(alive: bool) -> None:
    late = running(timeout_at=NOW - TIMEOUT_GRACE)
    assert decided(late, Lost(owner_alive=alive)) == decided(late, TimedOut())


def test_a_job_that_waited_too_long_is_buried() -> None:
    assert decided(running(), Expired()) == Bury(failure=EXPIRED)
    assert EXPIRED.transient is False


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Returned(), "finished"),
        (Raised(failure=FATAL), "raised"),
        (UpstreamRefused(lane=LANE), "upstreamrefused"),
        (upstream_failed(), "upstreamfailed"),
        (TimedOut(), "timedout"),
        (Cancelled(), "stopped"),
        (Interrupted(), "interrupted"),
        (Lost(), "lost"),
        (Expired(), "expired"),
    ],
)
def test_a_committed_cancel_beats_every_outcome(outcome: Outcome, word: str) -> None:
    assert decided(running(cancel_requested_at=NOW), outcome) == Cancel(note=f"{word} after cancel")


# phases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shut", "shown"),
    [
        ((), Phase.READY),
        (("queue:other", "upstream:b"), Phase.READY),
        (("queue:default",), Phase.PAUSED),
        (("upstream:a",), Phase.PARKED),
        (("upstream:p",), Phase.PARKED),
        (("upstream:q",), Phase.PARKED),
        (("queue:default", "upstream:a"), Phase.PAUSED),
    ],
)
def test_a_due_job_is_ready_unless_a_gate_of_its_lane_is_shut(shut: tuple[str, ...], shown: Phase) -> None:
    due = running(status=Status.QUEUED, run_at=NOW)
    assert phase(due, NOW, shut) is shown


@pytest.mark.parametrize(
    ("counters", "shown"),
    [
        (Counters(), Phase.SCHEDULED),
        (Counters(runs=1), Phase.RETRYING),
        (Counters(runs=5, base=5), Phase.SCHEDULED),
        (Counters(runs=6, base=5, crashes=1), Phase.RETRYING),
    ],
)
def test_a_job_that_is_not_due_is_retrying_once_it_has_run(counters: Counters, shown: Phase) -> None:
    waiting = running(status=Status.QUEUED, run_at=NOW + TICK, counters=counters)
    assert phase(waiting, NOW, ("queue:default",)) is shown


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (running(), Phase.RUNNING),
        (running(status=Status.SUCCEEDED), Phase.SUCCEEDED),
        (running(status=Status.SUCCEEDED, degraded=True), Phase.DEGRADED),
        (running(status=Status.FAILED), Phase.DEAD_LETTER),
        (running(status=Status.FAILED, dismissed_at=NOW), Phase.FAILED),
        (running(status=Status.CANCELLED), Phase.CANCELLED),
    ],
)
def test_the_other_phases_are_told_by_the_job_alone(job: Job, shown: Phase) -> None:
    assert phase(job, NOW, ("queue:default",)) is shown


def test_a_run_is_overdue_only_once_its_own_worker_had_its_chance() -> None:
    at = running(timeout_at=NOW)
    assert not overdue(at, NOW)
    assert not overdue(at, NOW + TIMEOUT_GRACE - TICK)
    assert overdue(at, NOW + TIMEOUT_GRACE)
    assert not overdue(replace(at, status=Status.QUEUED), NOW + TIMEOUT_GRACE)
    assert not overdue(replace(at, timeout_at=None), NOW + TIMEOUT_GRACE)


# the table -------------------------------------------------------------------------------------------------


def test_the_table_names_every_status_and_only_success_is_for_ever() -> None:
    assert set(LEGAL) == set(Status)
    assert [status for status in Status if not LEGAL[status]] == [Status.SUCCEEDED]
    assert {status for status in Status if status.finished} == {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
    assert all(LEGAL[status] <= {Status.QUEUED} for status in Status if status.finished)


def test_the_age_of_the_oldest_ready_job_is_told_and_never_negative() -> None:
    assert Stats(at=NOW).oldest_ready_age == 0 * SECOND
    assert Stats(at=NOW, oldest_ready_at=NOW - SECOND).oldest_ready_age == SECOND
    assert Stats(at=NOW, oldest_ready_at=NOW + SECOND).oldest_ready_age == 0 * SECOND
