"""The store's clock never goes back, whatever the machine's does."""

from datetime import timedelta
from pathlib import Path

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tidegate.clock import FakeClock
from tidegate.core.query import JobQuery
from tidegate.engines.sql.sqlite.engine import SqliteEngine

HOUR = timedelta(hours=1)


async def test_time_stands_still_while_the_machines_clock_is_behind(harness: Harness) -> None:
    before = (await build.claim(harness)).at
    harness.clock.advance(-HOUR)
    assert (await build.claim(harness)).at == before
    harness.clock.advance(HOUR + seconds(5))
    assert (await build.claim(harness)).at == before + seconds(5)


async def test_a_lease_is_not_lost_nor_a_job_early_because_the_clock_went_back(harness: Harness) -> None:
    lease = await build.start(harness)
    (later,) = await build.submit(harness, new_job(delay=seconds(10)))
    harness.clock.advance(-HOUR)
    assert await build.reclaim(harness) == []
    assert await build.claimed_ids(harness) == []
    harness.clock.advance(HOUR + seconds(10))
    assert await build.claimed_ids(harness) == [later]
    harness.clock.advance(build.LEASE)
    assert [taken.lease.job.id for taken in await build.reclaim(harness)] == [lease.job.id, later]


async def test_history_and_acceptance_stay_in_order_when_the_clock_goes_back(harness: Harness) -> None:
    first = await build.submit_one(harness)
    harness.clock.advance(-HOUR)
    second = await build.finish(harness, type="other")
    jobs = (await harness.engine.find(JobQuery(created_from=(await build.job(harness, first)).created_at))).jobs
    assert [job.id for job in jobs] == [second, first]
    ats = [entry.at for job_id in (first, second) for entry in await harness.engine.history(job_id)]
    assert ats == sorted(ats)


async def test_a_restart_does_not_set_the_clock_back(store: Path) -> None:
    clock = FakeClock()
    async with SqliteEngine(store, clock) as engine:
        await engine.submit([new_job()])
    accepted = clock.now()
    clock.advance(-HOUR)
    async with SqliteEngine(store, clock) as engine:
        claimed = await engine.claim(build.request(), build.nonce())
        assert claimed.at == accepted
        assert (await engine.stats()).at == accepted
