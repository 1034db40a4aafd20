"""What events say of a job, and how listeners are told."""

from datetime import timedelta

import pytest

from tests.unit.telemetry.samples import FAILURE, NOW, job, retried
from tidegate.core.job import Bury, Cancel, Defer, JobId, Lane, NewJob, Refund, Settlement, Spec, Succeed
from tidegate.telemetry import Emitter, Event, JobRef, finished, ref
from tidegate.telemetry.events import Ended, ListenerFailed, Pruned

PRUNED = Pruned(count=1)


def test_a_reference_says_where_the_job_stands() -> None:
    assert ref(job(runs=3)) == JobRef(
        job_id=JobId("job-a"),
        request_id="request-a",
        user_id="user-1",
        type="analysis",
        queue="high",
        upstream="openrouter",
        run=3,
        attempts=3,
    )


def test_a_job_not_yet_stored_has_no_run_and_its_own_lane() -> None:
    new = NewJob(id=JobId("n"), spec=Spec(type="report", lane=Lane(queue="low", upstream="mail")))
    told = ref(new)
    assert (told.run, told.attempts, told.queue, told.upstream) == (0, 0, "low", "mail")


@pytest.mark.parametrize(
    ("settlement", "ended", "attempts"),
    [
        (Succeed(), Ended.SUCCEEDED, 2),
        (Cancel(), Ended.CANCELLED, 2),
        (Bury(failure=FAILURE), Ended.FAILED, 2),
        (Bury(failure=FAILURE, refund=Refund.CRASH), Ended.FAILED, 1),
        (Defer(delay=timedelta(0), refund=Refund.INTERRUPTION), Ended.DEFERRED, 1),
    ],
)
def test_a_settlement_is_told_with_the_attempts_it_leaves(settlement: Settlement, ended: Ended, attempts: int) -> None:
    told = finished(job(runs=2), settlement, now=NOW)
    assert (told.ended, told.job.attempts, told.job.run) == (ended, attempts, 2)


def test_a_retry_is_told_with_its_delay_its_instant_and_no_message() -> None:
    told = retried(job())
    assert told.ended is Ended.RETRIED
    assert told.retry_delay == timedelta(seconds=5)
    assert told.retry_at == NOW + timedelta(seconds=5)
    assert (told.code, told.error_type) == ("processing_error", "ValueError")
    assert FAILURE.message not in repr(told)


def test_a_deferral_without_a_failure_has_no_code() -> None:
    settlement = Defer(delay=timedelta(seconds=3), refund=Refund.UPSTREAM_FAULT)
    told = finished(job(), settlement, now=NOW)
    assert (told.code, told.error_type, told.refund) == ("", "", Refund.UPSTREAM_FAULT)


def test_every_listener_is_told_in_order() -> None:
    emit, heard = Emitter(), list[tuple[str, Event]]()
    emit.subscribe(lambda event: heard.append(("first", event)))
    emit.subscribe(lambda event: heard.append(("second", event)))
    emit(PRUNED)
    assert heard == [("first", PRUNED), ("second", PRUNED)]


def test_a_listener_that_raises_harms_nobody_and_is_told_of_once() -> None:
    emit, heard = Emitter(), list[Event]()

    def broken(_: Event) -> None:
        raise LookupError("what a user sent")

    emit.subscribe(broken)
    emit.subscribe(heard.append)
    for _ in range(3):
        emit(PRUNED)
    told = [event for event in heard if isinstance(event, ListenerFailed)]
    assert heard.count(PRUNED) == 3
    assert [event.error_type for event in told] == ["LookupError"]
    assert "broken" in told[0].listener
    assert emit.failures == 4  # three events, and the telling of the first failure


def test_a_broken_log_is_told_of_where_another_line_still_works() -> None:
    emit, heard = Emitter(), list[Event]()

    def picky(event: Event) -> None:
        if isinstance(event, Pruned):
            raise ValueError
        heard.append(event)

    emit.subscribe(picky)
    emit(PRUNED)
    assert [type(event) for event in heard] == [ListenerFailed]


def test_what_is_no_ordinary_error_passes_through() -> None:
    emit = Emitter()

    def interrupted(_: Event) -> None:
        raise KeyboardInterrupt

    emit.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        emit(PRUNED)


def test_listeners_may_come_while_events_are_told() -> None:
    emit, heard = Emitter(), list[Event]()
    emit.subscribe(lambda _: emit.subscribe(heard.append))
    emit(PRUNED)
    assert heard == []
    emit(PRUNED)
    assert heard == [PRUNED]
