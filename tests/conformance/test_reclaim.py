"""Clauses of `JobQueue.reclaim`: what is taken over, when and from whom."""

from datetime import timedelta

import pytest

from tests.conformance import build, lost
from tests.conformance.build import OTHER_WORKER, REAPER, WORKER, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, Defer, Owner, Refund, Retry, Status, Succeed
from tidegate.core.query import Event
from tidegate.core.verbs import Beat, Reason

TICK = timedelta(microseconds=1)


@promise("reclaim.expired")
async def test_a_lease_is_taken_at_its_expiry_and_not_before(harness: Harness) -> None:
    (lease,) = await lost.running(harness, 1)
    harness.clock.advance(build.LEASE - TICK)
    assert await build.reclaim(harness) == []
    harness.clock.advance(TICK)
    taken = await build.reclaim_one(harness, lease_for=seconds(7))
    now = harness.clock.now()
    assert (taken.reason, taken.former, taken.at) == (Reason.EXPIRED, WORKER, now)
    assert (taken.lease.job, taken.lease.owner, taken.lease.payload) == (lease.job, REAPER, b"")
    assert (taken.lease.expires_at, taken.lease.token == lease.token) == (now + seconds(7), False)
    last = (await harness.engine.history(lease.job.id))[-1]
    assert (last.event, last.note, last.run) == (Event.RECLAIMED, "expired", 1)


@promise("reclaim.expired")
async def test_the_lease_that_ran_out_first_is_taken_first_up_to_the_limit(harness: Harness) -> None:
    ids = await build.submit(harness, *(new_job() for _ in range(5)))
    for duration in (50, 20, 40, 10, 30):
        await build.claim_one(harness, lease_for=seconds(duration))
    harness.advance(60)
    assert await build.reclaim(harness, limit=0) == []
    assert lost.ids(await build.reclaim(harness, limit=2)) == [ids[3], ids[1]]
    assert lost.ids(await build.reclaim(harness, limit=9)) == [ids[4], ids[2], ids[0]]


@promise("reclaim.expired")
async def test_what_a_reaper_lost_is_reclaimed_again(harness: Harness) -> None:
    (lease,) = await lost.running(harness, 1)
    harness.clock.advance(build.LEASE)
    first = await build.reclaim_one(harness)
    harness.clock.advance(build.LEASE - TICK)
    assert await build.reclaim(harness, owner=lost.SECOND_REAPER) == []
    harness.clock.advance(TICK)
    second = await build.reclaim_one(harness, owner=lost.SECOND_REAPER)
    assert (second.lease.owner, second.reason) == (lost.SECOND_REAPER, Reason.EXPIRED)
    assert len({lease.token, first.lease.token, second.lease.token}) == 3


@promise("reclaim.expired")
async def test_renewed_and_ended_runs_are_left_alone(harness: Harness) -> None:
    renewed, ended, retried = await lost.running(harness, 3)
    harness.advance(20)
    await harness.engine.renew([Beat(renewed.job.id, renewed.token)], build.LEASE)
    await build.end(harness, ended, Succeed())
    await build.end(harness, retried, Retry(delay=seconds(0), failure=build.failure()))
    harness.advance(20)
    assert await build.reclaim(harness) == []


@promise("reclaim.dead")
async def test_leases_of_dead_owners_are_taken_at_once_and_no_others(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(3)))
    mine = await build.claim_one(harness)
    theirs = await build.claim_one(harness, owner=OTHER_WORKER)
    await build.claim_one(harness, owner=Owner("worker-11"))
    assert await build.reclaim(harness) == []
    taken = await build.reclaim(harness, dead=(OTHER_WORKER, WORKER, Owner("nobody")))
    assert sorted(lost.ids(taken)) == sorted([mine.job.id, theirs.job.id])
    assert {one.reason for one in taken} == {Reason.EXPIRED}
    assert {one.former for one in taken} == {WORKER, OTHER_WORKER}


@promise("reclaim.dead")
async def test_a_dead_reapers_leases_are_taken_at_once_too(harness: Harness) -> None:
    await lost.running(harness, 1)
    await build.reclaim_one(harness, dead=(WORKER,))
    assert await build.reclaim(harness, owner=lost.SECOND_REAPER, dead=(WORKER,)) == []
    taken = await build.reclaim_one(harness, owner=lost.SECOND_REAPER, dead=(REAPER,))
    assert (taken.former, taken.reason) == (WORKER, Reason.EXPIRED)


@promise("reclaim.overdue")
async def test_a_run_past_its_timeout_is_taken_also_while_its_lease_lasts(harness: Harness) -> None:
    lease = await build.start(harness, timeout=seconds(100))
    for _ in range(10):
        harness.advance(10)
        await harness.engine.renew([Beat(lease.job.id, lease.token)], build.LEASE)
    harness.clock.advance(seconds(2) - TICK)
    assert await build.reclaim(harness, overdue_by=seconds(2)) == []
    harness.clock.advance(TICK)
    taken = await build.reclaim_one(harness, overdue_by=seconds(2))
    assert (taken.reason, taken.former, taken.lease.job.id) == (Reason.OVERDUE, WORKER, lease.job.id)


@promise("reclaim.overdue")
async def test_a_run_is_no_more_overdue_than_the_request_says(harness: Harness) -> None:
    await build.start(harness, timeout=seconds(10))
    harness.advance(10)
    assert await build.reclaim(harness, overdue_by=seconds(1)) == []
    assert (await build.reclaim_one(harness, overdue_by=seconds(0))).reason is Reason.OVERDUE


@promise("reclaim.overdue")
async def test_only_the_newest_run_can_be_overdue(harness: Harness) -> None:
    lease = await build.start(harness, timeout=seconds(10))
    harness.advance(9)
    await build.end(harness, lease, Retry(delay=seconds(0), failure=build.failure()))
    harness.advance(60)
    assert await build.reclaim(harness) == []
    await build.claim_one(harness)
    assert await build.reclaim(harness, overdue_by=seconds(0)) == []


@promise("reclaim.waited")
@pytest.mark.parametrize("delay", [0, 60])
async def test_a_job_that_still_waits_at_its_expiry_is_taken(harness: Harness, delay: float) -> None:
    job_id = await lost.waiting(harness, delay=delay)
    harness.clock.advance(seconds(10) - TICK)
    assert await build.reclaim(harness) == []
    harness.clock.advance(TICK)
    taken = await build.reclaim_one(harness)
    assert (taken.reason, taken.former) == (Reason.WAITED, REAPER)
    assert (taken.lease.job.id, taken.lease.job.status, taken.lease.owner) == (job_id, Status.RUNNING, REAPER)
    assert await build.steps(harness, job_id) == [Event.SUBMITTED, Event.RECLAIMED]
    assert await build.claimed_ids(harness) == []
    await build.end(harness, taken.lease, Bury(failure=build.failure("expired")))
    assert (await build.job(harness, job_id)).status is Status.FAILED


@promise("reclaim.waited")
async def test_a_job_that_waits_for_a_retry_at_its_expiry_is_taken(harness: Harness) -> None:
    await lost.waiting(harness)
    await build.end(harness, await build.claim_one(harness), Retry(delay=seconds(60), failure=build.failure()))
    harness.advance(10)
    assert (await build.reclaim_one(harness)).reason is Reason.WAITED


@promise("reclaim.waited")
async def test_a_run_under_way_at_its_expiry_is_left_alone(harness: Harness) -> None:
    await lost.waiting(harness)
    await build.claim_one(harness)
    harness.advance(20)
    assert await build.reclaim(harness) == []


@promise("reclaim.waited")
@pytest.mark.parametrize("known_dead", [True, False])
async def test_a_job_that_waited_is_taken_as_such_again_when_its_reaper_died(
    harness: Harness, known_dead: bool
) -> None:
    await lost.waiting(harness)
    harness.advance(10)
    await build.reclaim_one(harness)
    assert await build.reclaim(harness, owner=lost.SECOND_REAPER) == []
    harness.clock.advance(timedelta(0) if known_dead else build.LEASE)
    dead = (REAPER,) if known_dead else ()
    again = await build.reclaim_one(harness, owner=lost.SECOND_REAPER, dead=dead)
    assert (again.reason, again.lease.job.counters.runs) == (Reason.WAITED, 0)


@promise("reclaim.waited")
async def test_a_job_that_waited_after_a_run_is_never_overdue_by_that_run(harness: Harness) -> None:
    (job_id,) = await build.submit(harness, new_job(expires_at=harness.clock.now() + seconds(900)))
    await build.end(harness, await build.claim_one(harness), Defer(delay=seconds(990), refund=Refund.CRASH))
    harness.advance(900)
    assert lost.ids(await build.reclaim(harness, overdue_by=seconds(0))) == [job_id]
    assert await build.reclaim(harness, owner=lost.SECOND_REAPER, overdue_by=seconds(0)) == []


@promise("reclaim.keep")
async def test_no_lease_that_the_caller_keeps_is_taken_nor_counted_to_the_limit(harness: Harness) -> None:
    kept, other = await lost.running(harness, 2)
    harness.clock.advance(build.LEASE)
    keep = frozenset({kept.token})
    assert lost.ids(await build.reclaim(harness, keep=keep, limit=1, dead=(WORKER,))) == [other.job.id]
    harness.advance(700)
    assert kept.job.id not in lost.ids(await build.reclaim(harness, keep=keep, dead=(WORKER,)))
    await build.end(harness, kept, Succeed())


@promise("reclaim.only")
async def test_no_job_but_those_named_is_touched(harness: Harness) -> None:
    leases = await lost.running(harness, 3)
    waiting = [await lost.waiting(harness), await lost.waiting(harness)]
    harness.clock.advance(build.LEASE)
    assert await build.reclaim(harness, only=(), dead=(WORKER,)) == []
    only = (leases[1].job.id, waiting[1], build.fresh_id())
    assert sorted(lost.ids(await build.reclaim(harness, only=only))) == sorted(only[:2])
    assert len(await build.reclaim(harness)) == 3


@promise("reclaim.only")
async def test_to_be_named_is_no_reason_to_be_taken(harness: Harness) -> None:
    (lease,) = await lost.running(harness, 1)
    queued, ended = await build.submit_one(harness), await build.finish(harness, type="other")
    assert await build.reclaim(harness, only=(lease.job.id, queued, ended)) == []
