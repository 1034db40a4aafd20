"""What operators may rely on: cancel and dismiss."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.conformance.build import (
    cancel,
    claim_one,
    claimed_ids,
    failure,
    finish,
    fresh_id,
    job,
    new_job,
    nonce,
    reclaim_one,
    set_gates,
    settle,
    start,
    steps,
    submit,
    submit_one,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tests.conformance.situations import (
    ENDINGS,
    of_each_status,
    parked,
    retrying,
    revive,
    scheduled,
    seen,
    waited_too_long,
)
from tidegate.core.job import Bury, Cancel, JobId, Status, Succeed
from tidegate.core.query import Event
from tidegate.core.steps import ended
from tidegate.core.verbs import Cancellation, Dismissal, Settled


@promise("cancel.queued")
@pytest.mark.parametrize("queued", [submit_one, scheduled, retrying, parked, waited_too_long])
async def test_a_queued_job_is_cancelled_at_once_wherever_it_waits(
    harness: Harness, queued: Callable[[Harness], Awaitable[JobId]]
) -> None:
    job_id = await queued(harness)
    before = await job(harness, job_id)
    harness.advance(0.5)
    assert await cancel(harness, job_id) == [Cancellation.CANCELLED]
    after = await job(harness, job_id)
    assert after == ended(before, Status.CANCELLED, harness.clock.now())
    assert (await steps(harness, job_id))[-1] is Event.CANCELLED
    await set_gates(harness)
    harness.advance(7_200)
    assert await claimed_ids(harness) == []


@promise("cancel.queued")
async def test_a_cancelled_job_leaves_the_others_in_line_as_they_stood(harness: Harness) -> None:
    first, gone, last = await submit(harness, *(new_job() for _ in range(3)))
    await cancel(harness, gone)
    assert await claimed_ids(harness) == [first, last]


@promise("cancel.running")
async def test_a_running_job_is_marked_once_however_often_it_is_asked(harness: Harness) -> None:
    lease = await start(harness)
    asked_at = harness.clock.now()
    assert await cancel(harness, lease.job.id) == [Cancellation.REQUESTED]
    harness.advance(1)
    assert await cancel(harness, lease.job.id) == [Cancellation.REQUESTED]
    assert await job(harness, lease.job.id) == replace(lease.job, cancel_requested_at=asked_at)
    assert await steps(harness, lease.job.id) == [Event.SUBMITTED, Event.CLAIMED, Event.CANCEL_REQUESTED]


@promise("cancel.running")
async def test_a_running_job_keeps_its_lease_until_its_worker_ends_it(harness: Harness) -> None:
    lease = await start(harness)
    await cancel(harness, lease.job.id)
    assert await settle(harness, lease, Succeed()) is Settled.CANCELLING
    assert await settle(harness, lease, Cancel(note="stopped")) is Settled.APPLIED
    assert (await job(harness, lease.job.id)).status is Status.CANCELLED


@promise("cancel.running")
async def test_a_job_that_a_reaper_holds_is_asked_to_cancel_too(harness: Harness) -> None:
    late = await waited_too_long(harness)
    taken = await reclaim_one(harness)
    assert await cancel(harness, late) == [Cancellation.REQUESTED]
    assert await settle(harness, taken.lease, Bury(failure=failure())) is Settled.CANCELLING
    assert await settle(harness, taken.lease, Cancel()) is Settled.APPLIED


@promise("cancel.finished")
async def test_finished_jobs_are_left_alone_and_unknown_ones_are_named(harness: Harness) -> None:
    finished = [await finish(harness, ending) for ending in ENDINGS]
    before = [await seen(harness, job_id) for job_id in finished]
    answers = await cancel(harness, *finished, fresh_id())
    assert answers == [Cancellation.FINISHED] * 3 + [Cancellation.UNKNOWN]
    assert [await seen(harness, job_id) for job_id in finished] == before


@promise("cancel.queued", "cancel.running", "cancel.finished")
async def test_cancellations_are_answered_in_the_order_of_the_questions(harness: Harness) -> None:
    done, running = await finish(harness), (await start(harness)).job.id
    queued = await submit_one(harness)
    answers = await cancel(harness, running, fresh_id(), queued, done, queued, running)
    assert answers == ["requested", "unknown", "cancelled", "finished", "cancelled", "requested"]
    assert (await steps(harness, queued)).count(Event.CANCELLED) == 1
    assert await harness.engine.cancel([], nonce()) == []


@promise("cancel.nonce")
async def test_a_repeated_cancel_says_again_that_it_cancelled(harness: Harness) -> None:
    queued, wish = await submit_one(harness), nonce()
    assert await harness.engine.cancel([queued], wish) == [Cancellation.CANCELLED]
    before = await seen(harness, queued)
    harness.advance(60)
    assert await harness.engine.cancel([queued], wish) == [Cancellation.CANCELLED]
    assert await cancel(harness, queued) == [Cancellation.FINISHED]
    assert await seen(harness, queued) == before


@promise("cancel.nonce")
async def test_a_cancel_repeated_after_the_run_obeyed_it_says_cancelled(harness: Harness) -> None:
    lease, wish = await start(harness), nonce()
    assert await harness.engine.cancel([lease.job.id], wish) == [Cancellation.REQUESTED]
    assert await harness.engine.cancel([lease.job.id], wish) == [Cancellation.REQUESTED]
    await settle(harness, lease, Cancel())
    before = await seen(harness, lease.job.id)
    assert await harness.engine.cancel([lease.job.id], wish) == [Cancellation.CANCELLED]
    assert await seen(harness, lease.job.id) == before


@promise("cancel.nonce")
@pytest.mark.parametrize("running", [False, True])
async def test_a_cancel_repeated_after_a_revival_does_not_cancel_again(harness: Harness, running: bool) -> None:
    queued, wish = await submit_one(harness), nonce()
    await harness.engine.cancel([queued], wish)
    await revive(harness, queued)
    if running:
        await claim_one(harness)
    before = await seen(harness, queued)
    await harness.engine.cancel([queued], wish)
    assert await seen(harness, queued) == before


# dismiss ---------------------------------------------------------------------------------------------------


@promise("dismiss.dead")
async def test_a_dismissed_job_stays_failed_and_leaves_the_dead_letters(harness: Harness) -> None:
    dead = await finish(harness, Bury(failure=failure()))
    before = await job(harness, dead)
    harness.advance(1)
    dismissed_at = harness.clock.now()
    assert await harness.engine.dismiss([dead]) == [Dismissal.DISMISSED]
    after = await seen(harness, dead)
    assert after[0] == replace(before, dismissed_at=dismissed_at)
    assert [entry.event for entry in after[2]][-1] is Event.DISMISSED
    harness.advance(1)
    assert await harness.engine.dismiss([dead, dead]) == [Dismissal.DISMISSED] * 2
    assert await seen(harness, dead) == after


@promise("dismiss.illegal")
async def test_only_failed_jobs_are_dismissed(harness: Harness) -> None:
    jobs = await of_each_status(harness)
    left = [jobs[status] for status in Status if status is not Status.FAILED]
    before = [await seen(harness, job_id) for job_id in left]
    assert await harness.engine.dismiss([*left, fresh_id()]) == [Dismissal.ILLEGAL] * 4 + [Dismissal.UNKNOWN]
    assert [await seen(harness, job_id) for job_id in left] == before
    assert await harness.engine.dismiss([]) == []
