"""A run that takes longer than its timeout ends, and is settled as such even where it can't be made to end."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.worker import cpu_jobs
from tests.worker.house import AT_ONCE, QUICK, House, Watch, eventually, lives, on_memory
from tidegate.context import Context, LocalFile
from tidegate.core.failure import TIMEOUT
from tidegate.core.job import Job, JobId, Status
from tidegate.errors import Abandoned

SHORT = timedelta(seconds=0.3)


def _timed_out(job: Job) -> bool:
    return job.status is Status.FAILED and job.error is not None and job.error.code == TIMEOUT


async def test_an_async_handler_is_cancelled_at_its_timeout(house: House) -> None:
    cancelled = asyncio.Event()

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    house.job("sleeps", sleeps)
    await house.worker()
    watch = Watch()

    job = await house.ended(await house.submit("sleeps", timeout=SHORT))

    assert _timed_out(job)
    assert job.attempts == 1  # final by default
    assert cancelled.is_set()
    assert 0.3 <= watch.seconds < 1.5


async def test_a_thread_is_told_at_its_timeout(house: House) -> None:
    left = threading.Event()

    def looks(ctx: Context) -> None:
        try:
            while True:
                ctx.check()
                threading.Event().wait(0.01)
        except Abandoned:
            left.set()
            raise

    house.job("looks", looks)
    worker = await house.worker()

    job = await house.ended(await house.submit("looks", timeout=SHORT))

    assert _timed_out(job)
    assert left.is_set()
    await eventually(lambda: worker.running == 0)


async def _hanging_child(house: House, handler: Callable[[Context], None]) -> tuple[JobId, list[int]]:
    """A job whose run hangs in a child until its timeout, and the processes that take part in it."""
    house.job("whoami", cpu_jobs.whoami, cpu=True)
    house.job("hangs", handler, cpu=True)
    await house.worker(replace(QUICK, slots=1))
    await house.ended(await house.submit("whoami"))  # the child is up: its start is no part of the timeout
    job_id = await house.submit("hangs", timeout=timedelta(seconds=1))
    told = await house.until(job_id, lambda job: job.progress is not None)
    assert told.progress is not None
    pids = [int(pid) for pid in told.progress.message.split()]
    assert all(lives(pid) for pid in pids)
    return job_id, pids


@on_memory
@pytest.mark.parametrize("handler", [cpu_jobs.sleeper, cpu_jobs.hog, cpu_jobs.with_children])
async def test_a_child_is_killed_at_its_timeout_with_all_it_has_forked(
    house: House, handler: Callable[[Context], None]
) -> None:
    """What it has forked might hold the pipe that the worker waits at, and the slot for ever."""
    job_id, pids = await _hanging_child(house, handler)

    assert _timed_out(await house.ended(job_id))

    await eventually(lambda: not any(lives(pid) for pid in pids))
    await house.ended(await house.submit("whoami"))  # the slot is free


async def test_a_thread_that_ignores_its_timeout_keeps_its_slot_but_its_job_is_settled(house: House) -> None:
    let_go = threading.Event()

    def ignores(ctx: Context) -> str:
        let_go.wait(10)
        return "too late"

    async def quick() -> None:
        pass

    house.job("ignores", ignores)
    house.job("quick", quick)
    worker = await house.worker(replace(QUICK, slots=1))
    job = await house.ended(await house.submit("ignores", timeout=SHORT))
    assert _timed_out(job)
    assert worker.running == 1

    waiting = await house.submit("quick")
    await asyncio.sleep(0.3)
    assert (await house.look(waiting)).status is Status.QUEUED

    let_go.set()
    await house.ended(waiting)
    assert _timed_out(await house.look(job.id))
    assert await house.result(job.id) is None


async def test_an_async_handler_that_will_not_be_cancelled_is_settled_all_the_same(house: House) -> None:
    let_go = asyncio.Event()

    async def swallows() -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    house.job("swallows", swallows)
    await house.worker()

    job = await house.ended(await house.submit("swallows", timeout=SHORT))

    assert _timed_out(job)
    let_go.set()


async def test_a_timed_out_run_is_repeated_where_the_type_says_so(house: House) -> None:
    runs: list[int] = []

    async def slow_once(ctx: Context) -> None:
        runs.append(ctx.run)
        if ctx.run == 1:
            await asyncio.sleep(60)

    house.job("slow", slow_once, retry_on_timeout=True, retry=AT_ONCE)
    await house.worker()

    job = await house.ended(await house.submit("slow", timeout=SHORT))

    assert (job.status, runs) == (Status.SUCCEEDED, [1, 2])


async def test_a_download_that_hangs_ends_at_the_timeout(house: House) -> None:
    async def hangs(reference: str, user_id: str, folder: Path) -> LocalFile:
        await asyncio.sleep(60)
        return LocalFile(path=folder, name="", size=0)

    async def never(payload: dict[str, object]) -> None:
        raise AssertionError

    house.job("never", never, files=("file",))
    await house.worker_on(replace(house.runtime, fetch=hangs))
    job_id = await house.submit_raw(house.new_job("never", payload=b'{"file": "upload:x"}', timeout=SHORT))

    assert _timed_out(await house.ended(job_id))
