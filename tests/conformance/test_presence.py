"""Who is at work, and who holds leases."""

from dataclasses import replace
from datetime import timedelta

from tests.conformance.build import (
    OTHER_WORKER,
    REAPER,
    WORKER,
    claim_one,
    failure,
    new_job,
    reclaim,
    seconds,
    settle,
    submit,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, Owner, Retry, Succeed
from tidegate.core.query import WorkerInfo


def worker(owner: str, harness: Harness) -> WorkerInfo:
    return WorkerInfo(
        owner=Owner(owner),
        host="höst",
        pid=4_194_304,
        started_at=harness.clock.now() - seconds(0.000001),
        version="1.2.3",
        slots=64,
        busy=3,
        queues=("high", "default"),
        types=("work", "other"),
    )


@promise("announce.listed")
async def test_a_worker_is_listed_whole_until_its_time_is_over(harness: Harness) -> None:
    announced = worker("w", harness)
    await harness.engine.announce(announced, seconds(10))
    assert await harness.engine.workers() == [announced]
    harness.advance(9.999999)
    assert await harness.engine.workers() == [announced]
    harness.advance(0.000001)
    assert await harness.engine.workers() == []


@promise("announce.listed")
async def test_only_the_newest_announcement_counts(harness: Harness) -> None:
    announced = worker("w", harness)
    await harness.engine.announce(announced, seconds(60))
    busy = replace(announced, busy=64, queues=(), types=())
    await harness.engine.announce(busy, seconds(10))
    assert await harness.engine.workers() == [busy]
    harness.advance(10)
    assert await harness.engine.workers() == []
    await harness.engine.announce(announced, seconds(5))
    assert await harness.engine.workers() == [announced]


@promise("announce.listed")
async def test_zero_withdraws_one_worker(harness: Harness) -> None:
    for owner in ("b", "c", "a"):
        await harness.engine.announce(worker(owner, harness), seconds(60))
    assert [listed.owner for listed in await harness.engine.workers()] == ["a", "b", "c"]
    await harness.engine.announce(worker("b", harness), timedelta(0))
    await harness.engine.announce(worker("never listed", harness), timedelta(0))
    assert [listed.owner for listed in await harness.engine.workers()] == ["a", "c"]


@promise("holders.all")
async def test_whoever_holds_a_lease_is_named_once_announced_or_not(harness: Harness) -> None:
    assert await harness.engine.holders() == []
    await submit(harness, *(new_job() for _ in range(4)))
    first, _ = await claim_one(harness), await claim_one(harness)
    second = await claim_one(harness, owner=OTHER_WORKER)
    await harness.engine.announce(worker("idle", harness), seconds(60))
    assert sorted(await harness.engine.holders()) == [WORKER, OTHER_WORKER]
    await settle(harness, second, Retry(delay=timedelta(0), failure=failure()))
    assert await harness.engine.holders() == [WORKER]
    await settle(harness, first, Succeed())
    assert await harness.engine.holders() == [WORKER]


@promise("holders.all")
async def test_a_holder_is_named_however_long_it_was_silent(harness: Harness) -> None:
    await submit(harness, new_job())
    await claim_one(harness)
    harness.advance(366 * 86_400)
    await harness.engine.prune(10)
    assert await harness.engine.holders() == [WORKER]
    (taken,) = await reclaim(harness)
    assert await harness.engine.holders() == [REAPER]
    await settle(harness, taken.lease, Bury(failure=failure()))
    assert await harness.engine.holders() == []


@promise("holders.all")
async def test_a_reaper_that_holds_jobs_that_waited_too_long_is_a_holder(harness: Harness) -> None:
    await submit(harness, new_job(expires_at=harness.clock.now()))
    await reclaim(harness)
    assert await harness.engine.holders() == [REAPER]
