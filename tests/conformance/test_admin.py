"""What operators may rely on: cancel, revive, dismiss, prune."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conformance.build import (
    cancel,
    claim,
    claim_one,
    claimed_ids,
    failure,
    finish,
    fresh_id,
    job,
    lane,
    new_job,
    nonce,
    reclaim_one,
    seconds,
    set_gates,
    settle,
    start,
    steps,
    submit,
    submit_one,
    turns,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import (
    Body,
    Bury,
    Cancel,
    Counters,
    Defer,
    Ending,
    Job,
    JobId,
    NewJob,
    Progress,
    Refund,
    Retention,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import Event, HistoryEntry, JobQuery
from tidegate.core.steps import ended
from tidegate.core.verbs import Beat, Cancellation, Dismissal, Gate, Renewal, Revival, Settled, Submission

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ENDINGS: list[Settlement] = [Succeed(), Bury(failure=failure()), Cancel()]

Seen = tuple[Job | None, Body | None, list[HistoryEntry]]


async def seen(harness: Harness, job_id: JobId) -> Seen:
    """All that a store shows of one job."""
    (found,), (body,) = await harness.engine.get([job_id]), await harness.engine.bodies([job_id])
    return found, body, await harness.engine.history(job_id)


async def revive(harness: Harness, *job_ids: JobId) -> list[Revival]:
    return await harness.engine.revive(job_ids, nonce())


async def scheduled(harness: Harness) -> JobId:
    (later,) = await submit(harness, new_job(delay=HOUR))
    return later


async def retrying(harness: Harness) -> JobId:
    lease = await start(harness)
    await settle(harness, lease, Retry(delay=HOUR, failure=failure()))
    return lease.job.id


async def parked(harness: Harness) -> JobId:
    await set_gates(harness, Gate(name="upstream:shut", not_before=harness.clock.now() + HOUR))
    return await submit_one(harness, lane=lane("shut"))


async def waited_too_long(harness: Harness) -> JobId:
    late = await submit_one(harness, expires_at=harness.clock.now() + seconds(5))
    harness.advance(6)
    return late


async def of_each_status(harness: Harness) -> dict[Status, JobId]:
    """One job of every stored status; the queued one can't be claimed yet."""
    return {
        Status.QUEUED: await scheduled(harness),
        Status.SUCCEEDED: await finish(harness, Succeed()),
        Status.FAILED: await finish(harness, Bury(failure=failure())),
        Status.CANCELLED: await finish(harness, Cancel()),
        Status.RUNNING: (await start(harness)).job.id,
    }


# cancel ----------------------------------------------------------------------------------------------------


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


# revive ----------------------------------------------------------------------------------------------------


async def worn(harness: Harness, *, ending: Settlement) -> Job:
    """A job that has been through everything: moved, refunded, retried, expired, its progress kept, ended."""
    (job_id,) = await submit(
        harness, new_job(payload=b'{"n":1}', expires_at=harness.clock.now() + HOUR, user_id="worn", tags=("t",))
    )
    away = Defer(delay=timedelta(0), refund=Refund.UPSTREAM_FAULT, failure=failure("upstream"), lane=lane("away"))
    crash = Defer(delay=timedelta(0), refund=Refund.CRASH)
    stop = Defer(delay=timedelta(0), refund=Refund.INTERRUPTION)
    for settlement in (away, crash, stop, Retry(delay=timedelta(0), failure=failure())):
        await settle(harness, await claim_one(harness), settlement)
    lease = await claim_one(harness)
    beat = Beat(job_id, lease.token, Progress(fraction=0.5, message="half"))
    assert await harness.engine.renew([beat], seconds(30)) == [Renewal.HELD]
    if isinstance(ending, Cancel):
        await cancel(harness, job_id)
    assert await settle(harness, lease, ending) is Settled.APPLIED
    return await job(harness, job_id)


@promise("revive.fresh")
@pytest.mark.parametrize("ending", [Bury(failure=failure(), refund=Refund.CRASH), Cancel(note="stopped")])
async def test_a_revived_job_is_as_new_but_for_its_age_and_runs(harness: Harness, ending: Settlement) -> None:
    worn_out = await worn(harness, ending=ending)
    harness.advance(120)
    assert await revive(harness, worn_out.id) == [Revival.REVIVED]
    revived = await job(harness, worn_out.id)
    now = harness.clock.now()
    assert revived == Job(
        id=worn_out.id,
        seq=worn_out.seq,
        spec=worn_out.spec,
        lane=lane(),
        status=Status.QUEUED,
        created_at=worn_out.created_at,
        run_at=now,
        due_at=now,
        counters=Counters(runs=5, base=5),
    )
    assert revived.attempts == 0
    assert await harness.engine.bodies([worn_out.id]) == [Body(payload=b'{"n":1}')]
    assert (await harness.engine.history(worn_out.id))[-1].run == 5
    assert (await claim_one(harness)).job.counters == Counters(runs=6, base=5)


@promise("revive.fresh")
async def test_a_revived_job_is_due_now_even_if_it_was_scheduled_for_later(harness: Harness) -> None:
    later = await scheduled(harness)
    await cancel(harness, later)
    await revive(harness, later)
    assert await claimed_ids(harness) == [later]


@promise("revive.fresh")
async def test_a_revived_job_stands_behind_those_that_wait(harness: Harness) -> None:
    first, second, third = await submit(harness, *(new_job() for _ in range(3)))
    lease = await claim_one(harness)
    await settle(harness, lease, Bury(failure=failure()))
    await revive(harness, first)
    assert await claimed_ids(harness) == [second, third, first]


@promise("revive.fresh")
async def test_a_revived_job_never_expires_and_is_never_pruned_while_it_waits(harness: Harness) -> None:
    late = await waited_too_long(harness)
    await settle(harness, (await reclaim_one(harness)).lease, Bury(failure=failure("expired")))
    await harness.engine.dismiss([late])
    await revive(harness, late)
    harness.advance(10 * DAY.total_seconds())
    assert await harness.engine.prune(100) == []
    assert (await job(harness, late)).dismissed_at is None
    assert await claimed_ids(harness) == [late]


@promise("revive.fresh")
async def test_a_revived_job_can_be_cancelled_and_succeed_like_any_other(harness: Harness) -> None:
    first, second = await finish(harness, Cancel()), await finish(harness, Bury(failure=failure()))
    await revive(harness, first, second)
    assert await cancel(harness, first) == [Cancellation.CANCELLED]
    assert await settle(harness, await claim_one(harness), Succeed(result=b"7")) is Settled.APPLIED
    assert (await job(harness, second)).error is None
    assert await harness.engine.bodies([second]) == [Body(payload=b"{}", result=b"7")]


@promise("revive.nonce")
async def test_a_repeated_revival_changes_nothing_while_the_job_waits_or_runs(harness: Harness) -> None:
    failed, wish = await finish(harness, Bury(failure=failure())), nonce()
    assert await harness.engine.revive([failed, failed], wish) == [Revival.REVIVED] * 2
    waiting = await seen(harness, failed)
    harness.advance(1)
    assert await harness.engine.revive([failed], wish) == [Revival.REVIVED]
    assert await seen(harness, failed) == waiting
    await claim_one(harness)
    running = await seen(harness, failed)
    assert await harness.engine.revive([failed], wish) == [Revival.REVIVED]
    assert await seen(harness, failed) == running


@promise("revive.nonce")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_revival_repeated_after_the_job_ended_again_does_not_run_it_again(
    harness: Harness, ending: Settlement
) -> None:
    failed, wish = await finish(harness, Bury(failure=failure())), nonce()
    await harness.engine.revive([failed], wish)
    await settle(harness, await claim_one(harness), ending)
    before = await seen(harness, failed)
    assert await harness.engine.revive([failed], wish) == [Revival.REVIVED]
    assert await seen(harness, failed) == before


@promise("revive.nonce")
async def test_a_revival_repeated_after_somebody_cancelled_the_job_leaves_it_cancelled(harness: Harness) -> None:
    failed, wish = await finish(harness, Bury(failure=failure())), nonce()
    await harness.engine.revive([failed], wish)
    assert await cancel(harness, failed) == [Cancellation.CANCELLED]
    before = await seen(harness, failed)
    assert await harness.engine.revive([failed], wish) == [Revival.REVIVED]
    assert await seen(harness, failed) == before


@promise("revive.illegal")
async def test_only_failed_and_cancelled_jobs_are_revived(harness: Harness) -> None:
    jobs = await of_each_status(harness)
    left = [jobs[status] for status in (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED)]
    before = [await seen(harness, job_id) for job_id in left]
    answers = await revive(harness, *left, fresh_id(), jobs[Status.FAILED], jobs[Status.CANCELLED])
    assert answers == ["illegal", "illegal", "illegal", "unknown", "revived", "revived"]
    assert [await seen(harness, job_id) for job_id in left] == before
    assert await harness.engine.revive([], nonce()) == []


@promise("revive.illegal")
async def test_a_second_wish_to_revive_finds_the_job_already_queued(harness: Harness) -> None:
    failed = await finish(harness, Bury(failure=failure()))
    assert await revive(harness, failed) == [Revival.REVIVED]
    assert await revive(harness, failed) == [Revival.ILLEGAL]
    assert (await steps(harness, failed)).count(Event.REVIVED) == 1


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


# prune -----------------------------------------------------------------------------------------------------


@promise("prune.due")
@pytest.mark.parametrize(("ending", "kept"), [(ENDINGS[0], 1), (ENDINGS[1], 2), (ENDINGS[2], 3)])
async def test_a_job_is_pruned_when_the_retention_of_its_outcome_is_over(
    harness: Harness, ending: Settlement, kept: int
) -> None:
    retention = Retention(succeeded=1 * HOUR, failed=2 * HOUR, cancelled=3 * HOUR)
    lease = await start(harness, retention=retention)
    await settle(harness, lease, ending)
    harness.advance((kept * HOUR - TICK).total_seconds())
    assert await harness.engine.prune(100) == []
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == [lease.job.id]
    assert await harness.engine.prune(100) == []


@promise("prune.due")
async def test_of_a_pruned_job_nothing_is_left(harness: Harness) -> None:
    lease = await start(harness)
    await settle(harness, lease, Bury(failure=failure()))
    harness.advance(DAY.total_seconds())
    assert await harness.engine.prune(1) == [lease.job.id]
    assert await seen(harness, lease.job.id) == (None, None, [])
    assert (await harness.engine.find(JobQuery())).jobs == ()
    assert await cancel(harness, lease.job.id) == [Cancellation.UNKNOWN]
    assert await revive(harness, lease.job.id) == [Revival.UNKNOWN]
    assert await harness.engine.dismiss([lease.job.id]) == [Dismissal.UNKNOWN]
    assert await settle(harness, lease, Bury(failure=failure())) is Settled.LOST


@promise("prune.due")
async def test_the_longest_overdue_are_pruned_first_and_no_more_than_asked_for(harness: Harness) -> None:
    finished = []
    for hours in (5, 1, 4, 2, 3):
        finished.append(await finish(harness, retention=Retention(succeeded=hours * HOUR)))
        harness.advance(1)
    harness.advance(DAY.total_seconds())
    oldest_first = [finished[place] for place in (1, 3, 4, 2, 0)]
    assert await harness.engine.prune(2) == oldest_first[:2]
    assert [found is None for found in await harness.engine.get(oldest_first)] == [True, True, False, False, False]
    assert await harness.engine.prune(2) == oldest_first[2:4]
    assert await harness.engine.prune(2) == oldest_first[4:]


@promise("prune.only-finished")
async def test_no_unfinished_job_is_ever_pruned(harness: Harness) -> None:
    running = (await start(harness)).job.id
    kept = [running, await waited_too_long(harness), *await submit(harness, new_job(delay=1_000 * DAY))]
    failed = await finish(harness, Bury(failure=failure()), type="other")
    await revive(harness, failed)
    before = [await seen(harness, job_id) for job_id in (*kept, failed)]
    harness.advance(500 * DAY.total_seconds())
    assert await harness.engine.prune(1_000) == []
    assert [await seen(harness, job_id) for job_id in (*kept, failed)] == before


@promise("prune.only-finished")
async def test_dead_letters_are_never_trimmed_by_their_number(harness: Harness) -> None:
    many = await submit(harness, *(new_job() for _ in range(300)))
    leases = (await claim(harness, limit=300, turns=turns("default", quota=300))).leases
    endings = [Ending(job_id=one.job.id, token=one.token, settlement=Bury(failure=failure())) for one in leases]
    assert await harness.engine.settle(endings) == [Settled.APPLIED] * 300
    harness.advance((DAY - TICK).total_seconds())
    assert await harness.engine.prune(1_000) == []
    harness.advance(TICK.total_seconds())
    assert sorted(await harness.engine.prune(1_000)) == sorted(many)


def keyed(retention: Retention | None = None) -> NewJob:
    """A job with the key "once"."""
    return new_job(idempotency_key="once", retention=retention or Retention())


async def known(harness: Harness, first: JobId) -> bool:
    """Whether the key still stands for `first`."""
    (receipt,) = await harness.engine.submit([keyed()])
    if receipt.submission is Submission.REPLAYED:
        assert receipt.job_id == first
        return True
    assert receipt.submission is Submission.CREATED
    return False


@promise("prune.keys")
async def test_a_key_is_kept_for_a_day_after_the_end_though_its_job_is_pruned_sooner(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=HOUR)))
    harness.advance(3_600)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance(3_600)
    assert await harness.engine.prune(100) == [first]
    assert await known(harness, first)
    harness.advance((23 * HOUR - TICK).total_seconds())
    assert await harness.engine.prune(100) == []
    assert await known(harness, first)
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == []
    assert not await known(harness, first)


@promise("prune.keys")
async def test_a_key_is_kept_as_long_as_its_job(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=3 * DAY)))
    harness.advance(30 * DAY.total_seconds())
    await harness.engine.prune(100)
    assert await known(harness, first)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance((3 * DAY - TICK).total_seconds())
    await harness.engine.prune(100)
    assert await known(harness, first)
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == [first]
    assert not await known(harness, first)


@promise("prune.keys")
async def test_the_day_of_a_key_begins_with_the_last_end_of_its_job(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(failed=DAY, succeeded=HOUR)))
    await settle(harness, await claim_one(harness), Bury(failure=failure()))
    harness.advance(12 * 3_600)
    await revive(harness, first)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance(13 * 3_600)
    assert await harness.engine.prune(100) == [first]
    assert await known(harness, first)
    harness.advance(11 * 3_600)
    await harness.engine.prune(100)
    assert not await known(harness, first)


@promise("prune.keys")
async def test_pruning_one_job_forgets_no_other_key(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=9 * DAY)))
    await settle(harness, await claim_one(harness), Succeed())
    gone = await finish(harness, idempotency_key="another", user_id="bob", retention=Retention(succeeded=DAY))
    twin = await finish(harness, idempotency_key="once", user_id="bob", retention=Retention(succeeded=DAY))
    harness.advance(2 * DAY.total_seconds())
    assert sorted(await harness.engine.prune(100)) == sorted([gone, twin])
    assert await known(harness, first)
