"""Every run has its own timeout, whatever the timeouts of the others, with one timer for all."""

import asyncio
from datetime import timedelta

from tests.worker.house import House, on_memory
from tidegate.context import Context
from tidegate.core.failure import TIMEOUT
from tidegate.core.job import Status


@on_memory
async def test_a_shorter_timeout_that_begins_later_is_met_first(house: House) -> None:
    ended: list[str] = []

    async def sleeps(ctx: Context) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(ctx.job_id)

    house.job("sleeps", sleeps)
    await house.worker()
    later = await house.submit("sleeps", timeout=timedelta(seconds=1.2))
    await house.running(later)
    sooner = await house.submit("sleeps", timeout=timedelta(seconds=0.3))
    jobs = await house.all_ended([sooner, later])
    assert ended == [sooner, later]
    assert {job.status for job in jobs} == {Status.FAILED}
    assert {job.error.code for job in jobs if job.error} == {TIMEOUT}


@on_memory
async def test_runs_that_end_in_time_leave_the_next_timeout_standing(house: House) -> None:
    async def naps(ctx: Context) -> None:
        await asyncio.sleep(0.1 if ctx.attempt else 0)

    async def sleeps() -> None:
        await asyncio.sleep(30)

    house.job("naps", naps)
    house.job("sleeps", sleeps)
    await house.worker()
    napping = [await house.submit("naps", timeout=timedelta(seconds=0.4)) for _ in range(5)]
    sleeping = await house.submit("sleeps", timeout=timedelta(seconds=0.8))
    assert {job.status for job in await house.all_ended(napping)} == {Status.SUCCEEDED}
    job = await house.ended(sleeping)
    assert job.error is not None
    assert job.error.code == TIMEOUT
    assert job.finished_at is not None
    assert job.started_at is not None
    assert job.finished_at - job.started_at < timedelta(seconds=3)
