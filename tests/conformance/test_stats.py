"""Where jobs stand, by lane."""

import asyncio
from collections import Counter
from datetime import timedelta

from tests.conformance.build import (
    cancel,
    claim,
    claim_one,
    failure,
    finish,
    lane,
    new_job,
    seconds,
    settle,
    start,
    submit,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, Cancel, Defer, Lane, Refund, Succeed
from tidegate.core.query import LaneStats, Stats


async def counted(harness: Harness) -> Stats:
    """The counts of a store that has been still for 5 s."""
    harness.advance(5)
    stats = await harness.engine.stats()
    assert harness.clock.now() - seconds(5) <= stats.at <= harness.clock.now()
    return stats


def standing(stats: Stats) -> dict[Lane, LaneStats]:
    """The counts by lane, without lanes that have none."""
    lanes = {one.lane: one for one in stats.lanes if one != LaneStats(lane=one.lane)}
    assert len(lanes) <= len(stats.lanes) == len({one.lane for one in stats.lanes})
    return lanes


@promise("stats.exact")
async def test_an_empty_store_counts_nothing(harness: Harness) -> None:
    stats = await counted(harness)
    assert (standing(stats), stats.oldest_ready_at, stats.oldest_ready_age) == ({}, None, timedelta(0))


@promise("stats.exact")
async def test_jobs_are_counted_where_they_stand(harness: Harness) -> None:
    dead = [await finish(harness, Bury(failure=failure())) for _ in range(3)]
    await harness.engine.dismiss(dead[:1])
    for settlement, times in ((Succeed(), 4), (Cancel(), 2)):
        for _ in range(times):
            await finish(harness, settlement)
    for _ in range(5):
        await start(harness)
    await submit(harness, *(new_job(delay=timedelta(days=1)) for _ in range(6)))
    first_due = harness.clock.now()
    await submit(harness, *(new_job() for _ in range(7)))
    stats = await counted(harness)
    assert standing(stats) == {
        lane(): LaneStats(lane=lane(), waiting=6, ready=7, running=5, succeeded=4, dead_letter=2, failed=1, cancelled=2)
    }
    assert stats.oldest_ready_at == first_due
    assert stats.oldest_ready_age == stats.at - first_due


@promise("stats.exact")
async def test_lanes_that_differ_in_anything_are_counted_apart(harness: Harness) -> None:
    lanes = [
        lane(),
        lane("a"),
        lane("a", "p"),
        lane("a", "p", "q"),
        lane("a", "q", "p"),
        lane("a", queue="high"),
        lane("p"),
    ]
    for number, where in enumerate(lanes, start=1):
        await submit(harness, *(new_job(lane=where) for _ in range(number)))
    expected = {where: LaneStats(lane=where, ready=number) for number, where in enumerate(lanes, start=1)}
    assert standing(await counted(harness)) == expected


@promise("stats.exact")
async def test_a_job_is_counted_in_the_lane_it_was_moved_to_and_no_more_once_pruned(harness: Harness) -> None:
    lease = await start(harness, lane=lane("here"))
    away = Defer(delay=timedelta(hours=1), refund=Refund.INTERRUPTION, lane=lane("there"))
    await settle(harness, lease, away)
    assert standing(await counted(harness)) == {lane("there"): LaneStats(lane=lane("there"), waiting=1)}
    await cancel(harness, lease.job.id)
    harness.advance(86_400)
    await harness.engine.prune(10)
    assert standing(await counted(harness)) == {}


@promise("stats.exact")
async def test_due_jobs_stand_in_line_after_a_claim(harness: Harness) -> None:
    now = harness.clock.now()
    await submit(harness, *(new_job(run_at=now + seconds(after)) for after in (1, 2, 3, 1_000)))
    harness.advance(10)
    await claim_one(harness)
    stats = await counted(harness)
    assert standing(stats) == {lane(): LaneStats(lane=lane(), waiting=1, ready=2, running=1)}
    assert stats.oldest_ready_at == now + seconds(2)


@promise("stats.exact")
async def test_counts_are_of_one_instant_while_jobs_move(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(40)))
    harness.advance(6)
    movers = asyncio.gather(*(_move(harness) for _ in range(4)))
    totals: Counter[int] = Counter()
    while not movers.done():
        for one in (await harness.engine.stats()).lanes:
            totals[one.waiting + one.ready + one.running + one.succeeded] += 1
        await asyncio.sleep(0)
    await movers
    assert set(totals) == {40}


async def _move(harness: Harness) -> None:
    while leases := (await claim(harness, limit=2)).leases:
        for lease in leases:
            await settle(harness, lease, Succeed())
