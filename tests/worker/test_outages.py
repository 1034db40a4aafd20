"""A store that goes away and comes back costs time, and nothing else."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.worker.faults import Line
from tests.worker.house import LEASE, QUICK, House, eventually, on_sqlite
from tidegate.context import Context
from tidegate.core.job import Status
from tidegate.core.query import Event as Step
from tidegate.core.query import WorkerInfo
from tidegate.telemetry.events import Reclaimed, StoreBack, StoreDown

pytestmark = on_sqlite  # the line in between is cut alike for every store


@pytest.fixture
def line(house: House, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(house.engine, monkeypatch)


def _told_once(house: House) -> bool:
    return (len(house.events(StoreDown)), len(house.events(StoreBack))) == (1, 1)


async def test_an_ending_is_applied_when_the_store_is_back(house: House, line: Line) -> None:
    goes_on = asyncio.Event()
    runs: list[int] = []

    async def waits(ctx: Context) -> str:
        runs.append(ctx.run)
        await goes_on.wait()
        return "done"

    house.job("waits", waits)
    await house.worker()
    await house.worker()
    jobs = await house.submit_many("waits", 5)
    for job_id in jobs:
        await house.running(job_id)

    with line.down():
        goes_on.set()
        await eventually(lambda: line.calls["settle"] >= 3)
    ended = await house.all_ended(jobs)

    assert {job.status for job in ended} == {Status.SUCCEEDED}
    assert runs == [1] * 5
    assert [await house.result(job_id) for job_id in jobs] == [b'"done"'] * 5


async def test_an_outage_is_told_once_and_so_is_its_end(house: House, line: Line) -> None:
    goes_on = asyncio.Event()

    async def waits() -> None:
        await goes_on.wait()

    house.job("waits", waits)
    await house.worker()
    job_id = await house.submit("waits")
    await house.running(job_id)

    with line.down():
        goes_on.set()
        await eventually(lambda: line.calls["settle"] >= 3 and line.calls["renew"] >= 2)
    await house.ended(job_id)
    await eventually(lambda: bool(house.events(StoreBack)))

    assert _told_once(house)
    assert house.events(StoreBack)[0].down_for > timedelta(seconds=0.2)


async def test_jobs_submitted_during_an_outage_of_the_workers_run_after_it(house: House, line: Line) -> None:
    async def quick() -> None:
        pass

    house.job("quick", quick)
    await house.worker()
    with line.down():
        jobs = await house.submit_many("quick", 5)
        await eventually(lambda: bool(house.events(StoreDown)))

    assert {job.status for job in await house.all_ended(jobs)} == {Status.SUCCEEDED}
    await eventually(lambda: _told_once(house))


async def test_a_lease_outlives_an_outage_that_is_longer_than_it(
    house: House, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees the store first leaves others the time to renew: this run and its ending still count."""
    monkeypatch.setattr("tidegate.worker.outage.LONG", 0.2)
    goes_on = asyncio.Event()
    runs: list[int] = []

    async def waits(ctx: Context) -> str:
        runs.append(ctx.run)
        await goes_on.wait()
        return "done"

    house.job("waits", waits)
    await house.worker()
    await house.worker_elsewhere()
    job_id = await house.submit("waits")
    await house.running(job_id)

    with line.down():
        await asyncio.sleep(LEASE.total_seconds() + 0.1)
    with line.down("renew"):
        await eventually(lambda: len(house.events(StoreBack)) == 2)  # both have asked, and heard of the lease
        await asyncio.sleep(0.1)
    await asyncio.sleep(2 * QUICK.renew_every.total_seconds())
    goes_on.set()
    await house.ended(job_id)

    assert runs == [1]
    assert house.events(Reclaimed) == []


async def test_progress_told_during_an_outage_arrives_after_it(house: House, line: Line) -> None:
    goes_on = asyncio.Event()

    async def tells(ctx: Context) -> None:
        await goes_on.wait()
        ctx.progress(0.7, "during")
        await asyncio.sleep(60)

    house.job("tells", tells)
    await house.worker()
    job_id = await house.submit("tells")
    await house.running(job_id)

    with line.down("renew"):
        goes_on.set()
        before = line.calls["renew"]
        await eventually(lambda: line.calls["renew"] > before + 1)
        assert (await house.look(job_id)).progress is None

    job = await house.until(job_id, lambda job: job.progress is not None)
    assert job.progress is not None
    assert job.progress.message == "during"


async def test_a_claim_whose_answer_was_lost_is_asked_again_and_loses_no_lease(house: House, line: Line) -> None:
    async def quick(ctx: Context) -> int:
        return ctx.run

    house.job("quick", quick)
    with line.deaf("claim"):
        jobs = await house.submit_many("quick", 3)
        await house.worker()
        await eventually(lambda: line.calls["claim"] >= 3)

    ended = await house.all_ended(jobs, within=LEASE.total_seconds())

    assert {job.status for job in ended} == {Status.SUCCEEDED}
    assert [await house.steps(job_id) for job_id in jobs] == [[Step.SUBMITTED, Step.CLAIMED, Step.SUCCEEDED]] * 3


async def test_an_ending_whose_answer_was_lost_is_applied_once(house: House, line: Line) -> None:
    async def quick() -> int:
        return 1

    house.job("quick", quick)
    await house.worker()
    with line.deaf("settle"):
        job_id = await house.submit("quick")
        await eventually(lambda: line.calls["settle"] >= 2)

    await eventually(lambda: bool(house.events(StoreBack)))
    assert await house.steps(job_id) == [Step.SUBMITTED, Step.CLAIMED, Step.SUCCEEDED]


async def test_a_heart_that_meets_an_engines_bug_beats_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every lease of the worker would be lost without a word."""
    announce, broken = house.engine.announce, asyncio.Event()

    async def breaks_once(worker: WorkerInfo, live_for: timedelta) -> None:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a bug")
        await announce(worker, live_for)

    async def takes_long() -> None:
        await asyncio.sleep(1.2 * LEASE.total_seconds())

    monkeypatch.setattr(house.engine, "announce", breaks_once)
    house.job("long", takes_long)
    await house.worker()
    await house.worker_elsewhere()

    job = await house.ended(await house.submit("long"))

    assert job.counters.runs == 1


async def test_hints_that_fail_do_not_make_a_worker_spin(
    house: House, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*args: object) -> None:
        raise RuntimeError("a bug")

    async def quick() -> None:
        pass

    monkeypatch.setattr(house.engine, "wait", fails)
    house.job("quick", quick)
    await house.worker()
    await house.ended(await house.submit("quick"))

    before = line.calls["claim"]
    await asyncio.sleep(10 * QUICK.poll.total_seconds())
    assert line.calls["claim"] - before < 15
    await house.ended(await house.submit("quick"))


async def test_a_stop_during_an_outage_ends_in_its_time_and_gives_up_nothing_for_good(house: House, line: Line) -> None:
    async def quick(ctx: Context) -> int:
        return ctx.run

    house.job("quick", quick)
    worker = await house.worker(replace(QUICK, grace=timedelta(seconds=0.2)))
    with line.down("settle"):
        job_id = await house.submit("quick")
        await eventually(lambda: line.calls["settle"] >= 1)
        async with asyncio.timeout(15):
            await house.stop(worker)

    assert (await house.look(job_id)).status is Status.RUNNING
    await house.worker()
    job = await house.ended(job_id)
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
