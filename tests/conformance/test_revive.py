"""What operators may rely on: revive."""

from datetime import timedelta

import pytest

from tests.conformance.build import (
    cancel,
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
    settle,
    steps,
    submit,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tests.conformance.situations import DAY, ENDINGS, HOUR, of_each_status, revive, scheduled, seen, waited_too_long
from tidegate.core.job import (
    Body,
    Bury,
    Cancel,
    Counters,
    Defer,
    Job,
    Progress,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import Event
from tidegate.core.verbs import Beat, Cancellation, Renewal, Revival, Settled


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
