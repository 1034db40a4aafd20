"""A worker that is asked to stop loses nothing, and burns nobody's attempt."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.worker import cpu_jobs
from tests.worker.house import QUICK, House, Watch, eventually, on_sqlite, soon
from tidegate.context import Context
from tidegate.core.failure import WORKER_SHUTDOWN
from tidegate.core.job import Job, Status
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.telemetry.events import WorkerStopped, WorkerStopping

FIFTY = replace(QUICK, slots=60, grace=timedelta(seconds=0.5))


def _failed(job: Job) -> bool:
    return job.status is Status.FAILED and job.error is not None and job.error.code == WORKER_SHUTDOWN


def _given_back(job: Job) -> bool:
    return job.status is Status.QUEUED and job.attempts == 0 and job.counters.interruptions == 1


async def _sleeps() -> None:
    await asyncio.sleep(60)


async def test_fifty_running_jobs_finish_or_come_back_without_a_burned_attempt(house: House) -> None:
    goes_on = asyncio.Event()

    async def finishes() -> None:
        await goes_on.wait()

    house.job("finishes", finishes)
    house.job("sleeps", _sleeps)
    house.job("fragile", _sleeps, on_shutdown="fail")
    worker = await house.worker(FIFTY)
    finishing, sleeping, fragile = [await house.submit_many(name, 17) for name in ("finishes", "sleeps", "fragile")]
    await eventually(lambda: worker.running == 51)

    watch = Watch()
    stopping = asyncio.create_task(house.stop(worker))
    await eventually(lambda: bool(house.events(WorkerStopping)))
    goes_on.set()
    await soon(stopping)

    assert watch.seconds < FIFTY.grace.total_seconds() + 1
    assert {(await house.look(job_id)).status for job_id in finishing} == {Status.SUCCEEDED}
    assert all([_given_back(await house.look(job_id)) for job_id in sleeping])
    assert all([_failed(await house.look(job_id)) for job_id in fragile])
    assert [event.given_back for event in house.events(WorkerStopped)] == [34]


async def test_a_stopped_worker_holds_nothing_and_is_known_to_have_stopped(house: House) -> None:
    house.job("sleeps", _sleeps)
    worker = await house.worker(replace(QUICK, grace=timedelta(0)))
    await house.running(await house.submit("sleeps"))

    await house.stop(worker)

    assert await house.engine.holders() == []
    [known] = await house.engine.workers()
    assert (known.stopped, known.lives(known.started_at)) == (True, False)


async def test_what_was_given_back_runs_elsewhere_at_once(house: House) -> None:
    async def sleeps_first(ctx: Context) -> str:
        if ctx.run == 1:
            await asyncio.sleep(60)
        return f"{ctx.run} {ctx.attempt}"

    house.job("sleeps", sleeps_first)
    worker = await house.worker(replace(QUICK, grace=timedelta(0)))
    job_id = await house.submit("sleeps")
    await house.running(job_id)
    await house.stop(worker)

    await house.worker()
    await house.ended(job_id)

    assert await house.result(job_id) == b'"2 1"'


async def test_a_hurried_stop_does_not_wait_for_its_grace(house: House) -> None:
    house.job("sleeps", _sleeps)
    worker = await house.worker(replace(QUICK, grace=timedelta(seconds=30)))
    job_id = await house.submit("sleeps")
    await house.running(job_id)

    stopping = asyncio.create_task(house.stop(worker))
    await eventually(lambda: bool(house.events(WorkerStopping)))
    worker.hurry()
    await soon(stopping, within=2)

    assert _given_back(await house.look(job_id))


async def test_a_worker_that_stops_claims_nothing_more(house: House) -> None:
    house.job("sleeps", _sleeps)
    worker = await house.worker(replace(QUICK, slots=1, grace=timedelta(0)))
    first = await house.submit("sleeps")
    await house.running(first)
    second = await house.submit("sleeps")

    await house.stop(worker)

    assert (await house.look(second)).counters.runs == 0


async def test_a_claim_under_way_at_the_stop_loses_no_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, asked, goes_on = house.engine.claim, asyncio.Event(), asyncio.Event()

    async def slow(request: ClaimRequest, nonce: str) -> Claimed:
        claimed = await claim(request, nonce)
        if claimed.leases:
            asked.set()
            await goes_on.wait()
        return claimed

    async def quick() -> None:
        pass

    monkeypatch.setattr(house.engine, "claim", slow)
    house.job("quick", quick)
    worker = await house.worker()
    job_id = await house.submit("quick")
    await soon(asked.wait())

    stopping = asyncio.create_task(house.stop(worker))
    await eventually(lambda: bool(house.events(WorkerStopping)))
    goes_on.set()
    await soon(stopping)

    assert (await house.look(job_id)).status is Status.SUCCEEDED


@pytest.mark.parametrize("cpu", [False, True])
async def test_a_handler_that_cannot_be_stopped_does_not_hold_up_the_stop(house: House, cpu: bool) -> None:
    let_go = threading.Event()

    def deaf() -> None:
        let_go.wait(20)

    house.job("deaf", cpu_jobs.sleeper if cpu else deaf, cpu=cpu)
    worker = await house.worker(replace(QUICK, grace=timedelta(0)))
    job_id = await house.submit("deaf")
    await house.running(job_id)

    watch = Watch()
    await house.stop(worker)
    let_go.set()

    assert watch.seconds < 3
    assert _given_back(await house.look(job_id))


@on_sqlite
async def test_leases_are_kept_until_the_last_run_has_ended(house: House) -> None:
    """A worker that stopped beating first would lose, within its grace, what it is still working on."""
    runs: list[int] = []

    async def takes_long(ctx: Context) -> None:
        runs.append(ctx.run)
        await asyncio.sleep(1.5 * QUICK.lease_for.total_seconds())

    house.job("long", takes_long)
    worker = await house.worker(replace(QUICK, grace=timedelta(seconds=10)))
    job_id = await house.submit("long")
    await house.running(job_id)
    await house.worker()  # would take it over

    await house.stop(worker)

    assert (await house.look(job_id)).status is Status.SUCCEEDED
    assert runs == [1]
