"""A cancel reaches whatever runs, with no help from hints, and whatever came of the run then counts for nothing."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.worker import cpu_jobs
from tests.worker.house import House, Watch, eventually, soon
from tidegate.clock import token
from tidegate.context import Context
from tidegate.core.job import Job, JobId, Status
from tidegate.core.verbs import Cancellation
from tidegate.worker.runtime import WorkerSettings


@pytest.fixture(autouse=True)
def _no_hints(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def only_sleeps(topics: Sequence[str], timeout: timedelta) -> None:
        await asyncio.sleep(timeout.total_seconds())

    monkeypatch.setattr(house.engine, "wait", only_sleeps)


UNAWARE = WorkerSettings()
"""Asks so rarely that it learns of a cancel only by its own ending."""


async def _cancel(house: House, job_id: JobId) -> Job:
    """Ask for it while it runs; the job once it has ended, which must be within a second."""
    watch = Watch()
    assert await house.engine.cancel([job_id], token()) == [Cancellation.REQUESTED]
    job = await house.ended(job_id)
    assert watch.seconds < 1
    return job


async def test_a_running_async_handler_is_cancelled(house: House) -> None:
    cancelled = asyncio.Event()

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    house.job("sleeps", sleeps)
    await house.worker()
    job_id = await house.submit("sleeps")
    await house.running(job_id)

    assert (await _cancel(house, job_id)).status is Status.CANCELLED
    assert cancelled.is_set()


async def test_a_running_thread_sees_it_when_it_looks(house: House) -> None:
    seen = threading.Event()

    def looks(ctx: Context) -> None:
        while not ctx.cancelled:
            threading.Event().wait(0.01)
        seen.set()
        ctx.progress(1.0)  # says so too

    house.job("looks", looks)
    await house.worker()
    job_id = await house.submit("looks")
    await house.running(job_id)

    assert (await _cancel(house, job_id)).status is Status.CANCELLED
    assert seen.is_set()


async def test_a_running_child_is_killed(house: House) -> None:
    house.job("hog", cpu_jobs.hog, cpu=True)
    await house.worker()
    job_id = await house.submit("hog")
    await house.until(job_id, lambda job: job.progress is not None)

    assert (await _cancel(house, job_id)).status is Status.CANCELLED


async def test_a_handler_that_swallows_its_cancellation_is_settled_as_cancelled_anyway(house: House) -> None:
    let_go = asyncio.Event()

    async def swallows() -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "done"

    house.job("swallows", swallows)
    worker = await house.worker()
    job_id = await house.submit("swallows")
    await house.running(job_id)

    job = await _cancel(house, job_id)
    let_go.set()
    await eventually(lambda: worker.running == 0)

    assert (job.status, await house.result(job_id)) == (Status.CANCELLED, None)
    assert (await house.look(job_id)).status is Status.CANCELLED


async def test_a_success_after_a_committed_cancel_is_cancelled_without_result(house: House) -> None:
    async def finishes() -> str:
        await house.engine.cancel([job_id], token())
        return "done"

    house.job("finishes", finishes)
    job_id = await house.submit("finishes")
    await house.worker(UNAWARE)

    job = await house.ended(job_id)

    assert (job.status, job.result_path, await house.result(job_id)) == (Status.CANCELLED, None, None)
    entries = await house.engine.history(job_id)
    # The cancel may reach the worker before the ending reaches the store: either way no result is kept.
    assert entries[-1].note in {"finished after cancel", "cancelled while running", "stopped after cancel"}


async def test_a_failure_after_a_committed_cancel_is_not_retried(house: House) -> None:
    async def fails() -> None:
        await house.engine.cancel([job_id], token())
        raise ValueError("no")

    house.job("fails", fails)
    job_id = await house.submit("fails")
    await house.worker(UNAWARE)

    job = await house.ended(job_id)

    assert (job.status, job.counters.runs) == (Status.CANCELLED, 1)


async def test_a_cancel_while_the_result_is_stored_wins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    put, storing, goes_on = house.runtime.artifacts.put, asyncio.Event(), asyncio.Event()

    async def waits(path: str, data: bytes, *, content_type: str) -> object:
        storing.set()
        await goes_on.wait()
        return await put(path, data, content_type=content_type)

    async def returns() -> str:
        return "done"

    monkeypatch.setattr(house.runtime.artifacts, "put", waits)
    house.job("returns", returns)
    await house.worker()
    job_id = await house.submit("returns")
    await soon(storing.wait())
    await house.engine.cancel([job_id], token())
    goes_on.set()

    assert (await house.ended(job_id)).status is Status.CANCELLED
    assert await house.result(job_id) is None
