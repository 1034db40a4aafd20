"""Clauses of `JobQueue.claim`: what is in line, and whose turn it is within one line."""

from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Defer, JobId, NewJob, Refund, Retry, Settlement, Status

TICK = timedelta(microseconds=1)
NOW = timedelta(0)


async def _one_by_one(harness: Harness, count: int) -> list[JobId]:
    """What so many claims of one job each take."""
    return [job_id for _ in range(count) for job_id in await build.claimed_ids(harness, limit=1)]


async def _priorities(harness: Harness, count: int) -> list[int]:
    taken = await harness.engine.get(await _one_by_one(harness, count))
    return [job.spec.priority for job in taken if job]


async def _users(harness: Harness, count: int) -> str:
    taken = await harness.engine.get(await _one_by_one(harness, count))
    return "".join(job.spec.user_id for job in taken if job)


def _jobs(count: int, user: str = "ada", priority: int = 0, delay: timedelta = NOW) -> list[NewJob]:
    return [new_job(user_id=user, priority=priority, delay=delay) for _ in range(count)]


@promise("claim.due")
async def test_no_job_is_claimed_before_it_is_due_and_then_at_once(harness: Harness) -> None:
    later, at = new_job(delay=seconds(10)), new_job(run_at=harness.clock.now() + seconds(10))
    await build.submit(harness, later, at)
    harness.clock.advance(seconds(10) - TICK)
    assert await build.claimed_ids(harness) == []
    harness.clock.advance(TICK)
    assert await build.claimed_ids(harness) == [later.id, at.id]


@promise("claim.due")
@pytest.mark.parametrize(
    "settlement",
    [
        Retry(delay=seconds(5), failure=build.failure()),
        Defer(delay=seconds(5), refund=Refund.INTERRUPTION),
        Defer(delay=seconds(5), refund=Refund.UPSTREAM_FAULT, lane=build.lane("llm")),
    ],
)
async def test_a_job_that_comes_back_waits_for_its_delay(harness: Harness, settlement: Settlement) -> None:
    job_id = await build.finish(harness, settlement)
    harness.clock.advance(seconds(5) - TICK)
    assert await build.claimed_ids(harness) == []
    harness.clock.advance(TICK)
    assert await build.claimed_ids(harness) == [job_id]


@promise("claim.promote")
async def test_due_jobs_become_claimable_in_the_order_of_their_due_times(harness: Harness) -> None:
    delays = [7, 3, 9, 1, 5, 3, 60]
    ids = await build.submit(harness, *(new_job(delay=seconds(delay)) for delay in delays))
    harness.advance(10)
    assert await _one_by_one(harness, 7) == [ids[place] for place in (3, 1, 5, 4, 0, 2)]


@promise("claim.promote")
async def test_a_due_job_needs_nobody_but_the_claim_that_takes_it(harness: Harness) -> None:
    for queue in ("high", "default"):
        await build.submit(harness, new_job(delay=seconds(1), lane=build.lane("llm", queue=queue)))
    harness.advance(1)
    assert len(await build.claimed_ids(harness, turns=build.turns("high"))) == 1
    assert len(await build.claimed_ids(harness, turns=build.turns("default"))) == 1


@promise("claim.promote", "claim.wake-at")
async def test_however_many_jobs_became_due_at_once_all_are_claimed(harness: Harness) -> None:
    crowd = [new_job(delay=seconds(1), type="other", user_id=f"u{n}") for n in range(1_100)]
    await build.submit(harness, *crowd, new_job(delay=seconds(2)))
    harness.advance(2)
    for _ in range(10):
        claimed = await build.claim(harness)
        if claimed.leases:
            return
        assert claimed.more, "a job is due: another claim would take it"
    pytest.fail("ten claims did not reach the job that became due behind 1,100 others")


@promise("claim.expired")
async def test_a_job_may_wait_up_to_its_expiry_and_not_to_it(harness: Harness) -> None:
    expires_at = harness.clock.now() + seconds(10)
    in_time, late = await build.submit(harness, *(new_job(expires_at=expires_at) for _ in range(2)))
    harness.clock.advance(seconds(10) - TICK)
    assert await build.claimed_ids(harness, limit=1) == [in_time]
    assert (await build.claim(harness, limit=0)).overdue == 0
    harness.clock.advance(TICK)
    assert await build.claimed_ids(harness) == []
    assert (await build.job(harness, late)).status is Status.QUEUED
    assert (await build.job(harness, in_time)).status is Status.RUNNING, "it waits no more"


@promise("claim.expired")
async def test_expired_jobs_in_front_of_a_line_are_in_nobodys_way(harness: Harness) -> None:
    expires_at = harness.clock.now() + seconds(10)
    stale = [new_job(expires_at=expires_at, priority=9, user_id="bob") for _ in range(40)]
    stale += [new_job(expires_at=expires_at, delay=seconds(5)) for _ in range(40)]
    fresh = new_job()
    await build.submit(harness, *stale, fresh)
    harness.advance(10)
    claimed = await build.claim(harness, limit=1)
    assert [lease.job.id for lease in claimed.leases] == [fresh.id]
    assert (claimed.overdue, claimed.more) == (80, False)


@promise("claim.expired")
async def test_an_expired_job_counts_as_overdue_until_it_is_reclaimed(harness: Harness) -> None:
    expires_at = harness.clock.now() + seconds(10)
    await build.submit(harness, new_job(expires_at=expires_at), new_job(expires_at=expires_at, delay=seconds(60)))
    retried = Retry(delay=seconds(60), failure=build.failure())
    await build.end(harness, await build.claim_one(harness), retried)
    harness.advance(10)
    assert (await build.claim(harness)).overdue == 2
    await build.reclaim(harness, limit=1)
    assert (await build.claim(harness)).overdue == 1
    await build.reclaim(harness)
    assert (await build.claim(harness)).overdue == 0


@promise("claim.fifo")
async def test_one_users_jobs_are_claimed_first_in_first_out(harness: Harness) -> None:
    first = await build.submit(harness, *_jobs(6))
    assert await _one_by_one(harness, 2) == first[:2]
    second = await build.submit(harness, *_jobs(1), *_jobs(6))
    assert await build.claimed_ids(harness, limit=5) == [*first[2:], *second[:1]]
    third = await build.submit(harness, *_jobs(12))
    assert await build.claimed_ids(harness) == [*second[1:], *third]


@promise("claim.fifo")
async def test_a_job_that_became_ready_later_stands_behind_whatever_was_accepted_after_it(harness: Harness) -> None:
    (later,) = await build.submit(harness, *_jobs(1, delay=seconds(5)))
    ready = await build.submit(harness, *_jobs(3))
    harness.advance(5)
    assert await build.claimed_ids(harness) == [*ready, later]


@promise("claim.fair")
@pytest.mark.parametrize("served", [0, 10])
async def test_a_late_users_first_job_does_not_wait_for_an_early_users_flood(harness: Harness, served: int) -> None:
    await build.submit(harness, *_jobs(40, "a"))
    await _one_by_one(harness, served)
    await build.submit(harness, *_jobs(1, "b"))
    assert "b" in await _users(harness, 2)


@promise("claim.fair")
@pytest.mark.parametrize("delay", [NOW, seconds(5)])
async def test_users_take_turns(harness: Harness, delay: timedelta) -> None:
    await build.submit(harness, *(job for user in "abc" for job in _jobs(6, user, delay=delay)))
    harness.clock.advance(delay)
    order = await _users(harness, 18)
    assert {"".join(sorted(order[n : n + 3])) for n in range(0, 18, 3)} == {"abc"}


@promise("claim.fair")
async def test_a_user_who_was_away_has_saved_up_no_turns(harness: Harness) -> None:
    await build.submit(harness, *_jobs(40, "a"))
    await _one_by_one(harness, 20)
    await build.submit(harness, *_jobs(20, "b"))
    order = await _users(harness, 12)
    assert {order[n : n + 4].count("a") for n in range(0, 12, 4)} == {2}


@promise("claim.priority")
@pytest.mark.parametrize("delay", [NOW, seconds(5)])
@pytest.mark.parametrize("low_first", [True, False])
async def test_two_jobs_come_for_each_of_one_priority_lower_the_higher_first(
    harness: Harness, delay: timedelta, low_first: bool
) -> None:
    low, high = _jobs(4, priority=3, delay=delay), _jobs(8, priority=4, delay=delay)
    await build.submit(harness, *(low + high if low_first else high + low))
    harness.clock.advance(delay)
    order = await _priorities(harness, 12)
    assert order[0] == 4
    assert [order[n : n + 3].count(3) for n in range(0, 12, 3)] == [1, 1, 1, 1]


@promise("claim.priority")
async def test_four_jobs_come_for_each_of_two_priorities_lower(harness: Harness) -> None:
    await build.submit(harness, *_jobs(3), *_jobs(12, "bob", priority=2))
    order = await _priorities(harness, 15)
    assert [order[n : n + 5].count(0) for n in range(0, 15, 5)] == [1, 1, 1]


@promise("claim.priority")
async def test_an_urgent_job_is_next_even_where_it_came_last(harness: Harness) -> None:
    await build.submit(harness, *_jobs(20), *_jobs(20, "bob", priority=1))
    await _one_by_one(harness, 7)
    (urgent,) = await build.submit(harness, *_jobs(1, priority=9))
    assert await _one_by_one(harness, 1) == [urgent]


@promise("claim.priority")
async def test_a_stream_of_urgent_jobs_does_not_starve_the_others(harness: Harness) -> None:
    await build.submit(harness, *_jobs(1), *_jobs(2, priority=3))
    order: list[int] = []
    for _ in range(12):
        await build.submit(harness, *_jobs(1, priority=3))
        order += await _priorities(harness, 1)
    assert 0 in order


@promise("claim.rank-kept")
@pytest.mark.parametrize("delay", [NOW, seconds(5)])
@pytest.mark.parametrize("defer", [True, False])
async def test_a_job_that_comes_back_stands_where_it_stood(harness: Harness, delay: timedelta, defer: bool) -> None:
    first, *_ = await build.submit(harness, *_jobs(8))
    lease = await build.claim_one(harness)
    await build.submit(harness, *_jobs(4, "bob", priority=0))
    back = Defer(delay=delay, refund=Refund.CRASH) if defer else Retry(delay=delay, failure=build.failure())
    await build.end(harness, lease, back)
    harness.clock.advance(delay)
    assert await build.claimed_ids(harness, limit=1) == [first]


@promise("claim.rank-kept")
async def test_a_job_that_a_reaper_gives_back_stands_where_it_stood(harness: Harness) -> None:
    first, *_ = await build.submit(harness, *_jobs(8))
    await build.claim_one(harness)
    harness.clock.advance(build.LEASE)
    taken = await build.reclaim_one(harness)
    await build.end(harness, taken.lease, Defer(delay=NOW, refund=Refund.CRASH))
    assert await build.claimed_ids(harness, limit=1) == [first]


@promise("claim.rank-kept")
async def test_a_job_that_comes_back_stands_no_further_back_than_a_new_job(harness: Harness) -> None:
    await build.submit(harness, *_jobs(30))
    leases = (await build.claim(harness, limit=20)).leases
    await build.submit(harness, *_jobs(1, "bob"))
    await build.end(harness, leases[-1], Retry(delay=NOW, failure=build.failure()))
    assert await _one_by_one(harness, 1) == [leases[-1].job.id]


@promise("claim.rank-kept")
@pytest.mark.parametrize("delay", [NOW, seconds(5)])
async def test_a_job_that_moved_to_another_lane_stands_there_as_a_new_job(harness: Harness, delay: timedelta) -> None:
    there = build.lane("llm")
    moved = await build.start(harness)
    waiting = await build.submit(harness, *(new_job(lane=there) for _ in range(6)))
    await build.end(harness, moved, Defer(delay=delay, refund=Refund.UPSTREAM_FAULT, lane=there))
    harness.clock.advance(delay)
    assert await _one_by_one(harness, 7) == [*waiting, moved.job.id]
