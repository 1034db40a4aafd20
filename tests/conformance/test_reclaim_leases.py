"""Clauses of `JobQueue.reclaim`: the new holder has the run, and the former one is powerless."""

import pytest

from tests.conformance import build, lost
from tests.conformance.build import OTHER_WORKER, REAPER, WORKER, ReclaimChanges, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, Defer, Owner, Progress, Refund, Status, Succeed
from tidegate.core.query import Event
from tidegate.core.verbs import Beat, Reason, Renewal, Settled


@promise("reclaim.fences")
@pytest.mark.parametrize(
    ("after", "changes"),
    [(30, {}), (0, {"dead": (WORKER,)}), (22, {})],
    ids=["expired", "dead", "overdue"],
)
async def test_the_former_token_is_dead_from_that_moment(
    harness: Harness, after: float, changes: ReclaimChanges
) -> None:
    lease = await build.start(harness, timeout=seconds(20))
    harness.advance(after)
    taken = await build.reclaim_one(harness, **changes)
    beat = Beat(lease.job.id, lease.token, Progress(fraction=0.5))
    assert await harness.engine.renew([beat], build.LEASE) == [Renewal.LOST]
    assert await build.settle(harness, lease, Succeed(), new_job()) is Settled.LOST
    assert await build.job(harness, lease.job.id) == taken.lease.job
    await build.end(harness, taken.lease, Bury(failure=build.failure()))
    assert await build.settle(harness, lease, Succeed()) is Settled.LOST
    assert (await build.job(harness, lease.job.id)).status is Status.FAILED


@promise("reclaim.fences")
async def test_a_reapers_own_former_token_is_dead_too(harness: Harness) -> None:
    await lost.waiting(harness)
    harness.advance(10)
    first = await build.reclaim_one(harness)
    harness.clock.advance(build.LEASE)
    second = await build.reclaim_one(harness, owner=REAPER)
    assert await build.settle(harness, first.lease, Bury(failure=build.failure())) is Settled.LOST
    await build.end(harness, second.lease, Bury(failure=build.failure()))


@promise("reclaim.reaper")
@pytest.mark.parametrize(("after", "dead"), [(30, ()), (0, (WORKER,)), (22, ())], ids=["expired", "dead", "overdue"])
async def test_what_a_reaper_took_is_taken_by_nobody_else_while_its_lease_lasts(
    harness: Harness, after: float, dead: tuple[Owner, ...]
) -> None:
    await build.start(harness, timeout=seconds(20))
    harness.advance(after)
    first = await build.reclaim_one(harness, dead=dead)
    assert await build.reclaim(harness, owner=lost.SECOND_REAPER, dead=dead) == []
    harness.clock.advance(build.LEASE)
    second = await build.reclaim_one(harness, owner=lost.SECOND_REAPER)
    assert (second.lease.job.id, second.former) == (first.lease.job.id, WORKER)


@promise("reclaim.counts-no-run")
async def test_a_reclaimed_run_is_the_same_run_until_it_is_settled(harness: Harness) -> None:
    (lease,) = await lost.running(harness, 1)
    for _ in range(3):
        harness.clock.advance(build.LEASE)
        taken = await build.reclaim_one(harness)
        assert taken.lease.job == await build.job(harness, lease.job.id) == lease.job
    harness.clock.advance(build.LEASE)
    await build.end(harness, (await build.reclaim_one(harness)).lease, Defer(delay=seconds(0), refund=Refund.CRASH))
    second = await build.claim_one(harness)
    assert (second.job.counters.runs, second.job.attempts) == (2, 1)


@promise("reclaim.counts-no-run")
async def test_a_job_that_waited_too_long_has_no_run(harness: Harness) -> None:
    job_id = await lost.waiting(harness)
    harness.advance(10)
    taken = await build.reclaim_one(harness)
    assert (taken.lease.job.counters.runs, taken.lease.job.attempts, taken.lease.job.started_at) == (0, 0, None)
    await build.end(harness, taken.lease, Bury(failure=build.failure()))
    assert (await build.job(harness, job_id)).attempts == 0


@promise("reclaim.former")
async def test_the_former_is_who_claimed_the_run_however_often_it_was_reclaimed(harness: Harness) -> None:
    await lost.running(harness, 1)
    formers = []
    for reaper in (REAPER, lost.SECOND_REAPER, REAPER):
        harness.clock.advance(build.LEASE)
        formers.append((await build.reclaim_one(harness, owner=reaper)).former)
    assert formers == [WORKER] * 3


@promise("reclaim.former")
async def test_the_former_of_a_later_run_is_who_claimed_that(harness: Harness) -> None:
    await lost.running(harness, 1)
    taken = await build.reclaim_one(harness, dead=(WORKER,))
    await build.end(harness, taken.lease, Defer(delay=seconds(0), refund=Refund.CRASH))
    await build.claim_one(harness, owner=OTHER_WORKER)
    assert (await build.reclaim_one(harness, dead=(OTHER_WORKER,))).former == OTHER_WORKER


@promise("reclaim.nonce")
async def test_the_same_nonce_gives_what_it_took_and_takes_no_more(harness: Harness) -> None:
    leases = await lost.running(harness, 13)
    nonce = build.nonce()
    harness.clock.advance(build.LEASE)
    first = await build.reclaim(harness, nonce, limit=12)
    again = await build.reclaim(harness, nonce, limit=12)
    assert [one.lease for one in again] == [one.lease for one in first]
    assert {(one.reason, one.former) for one in again} == {(Reason.EXPIRED, WORKER)}
    assert (await build.steps(harness, first[0].lease.job.id)).count(Event.RECLAIMED) == 1
    assert lost.ids(await build.reclaim(harness)) == [leases[12].job.id]


@promise("reclaim.nonce")
async def test_a_repeated_reclaim_leaves_out_what_it_no_longer_holds(harness: Harness) -> None:
    await lost.running(harness, 3)
    nonce = build.nonce()
    settled, taken, held = await build.reclaim(harness, nonce, dead=(WORKER,))
    await build.end(harness, settled.lease, Defer(delay=seconds(0), refund=Refund.CRASH))
    assert await build.claimed_ids(harness) == [settled.lease.job.id]
    keep = frozenset({held.lease.token})
    await build.reclaim(harness, owner=lost.SECOND_REAPER, dead=(REAPER,), keep=keep)
    again = await build.reclaim(harness, nonce, dead=(WORKER, lost.SECOND_REAPER))
    assert [one.lease for one in again] == [held.lease]
    assert taken.lease.job.id not in lost.ids(again)
