"""A lease is kept for as long as its run lasts, whatever the handler does; and a lost one ends the run.

What holds for several processes: a handler that holds the GIL stops every thread of its process, the one that
renews leases too. Within the process nobody takes its lease, unless a reclaim was already on its way to the
store when the handler began. A worker of another process takes it once it has run out: the job then runs a
second time, and the ending of whichever run comes first in the store counts. Work that may hold the GIL for
longer than a lease belongs into `cpu=True`, where this can't happen.
"""

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worker.faults import Line
from tests.worker.house import LEASE, House, Watch, eventually, on_sqlite, soon
from tidegate.clock import token
from tidegate.context import Context
from tidegate.core.artifact import Stored
from tidegate.core.job import Owner, Status
from tidegate.core.query import Event as Step
from tidegate.core.verbs import ReclaimRequest
from tidegate.handlers import Handler
from tidegate.telemetry.events import EndingLost, Reclaimed


@pytest.fixture
def line(house: House, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(house.engine, monkeypatch)


async def _runs_once(house: House, handler: Handler) -> None:
    house.job("long", handler)
    job = await house.ended(await house.submit("long"), within=15)

    assert job.status is Status.SUCCEEDED
    assert await house.steps(job.id) == [Step.SUBMITTED, Step.CLAIMED, Step.SUCCEEDED]


@on_sqlite
@pytest.mark.slow
async def test_a_handler_that_holds_the_gil_for_three_leases_runs_once(house: House, line: Line) -> None:
    """With a second, idle worker of the same process beside it. For several processes see the module's text."""

    async def holds_gil() -> None:
        ctypes.PyDLL(None).usleep(int(3 * LEASE.total_seconds() * 1_000_000))  # a C call that lets nobody else run
        await asyncio.sleep(0.05)  # here the others of this process learn how late it is

    await house.worker()
    await house.worker()
    await eventually(lambda: line.answers["reclaim"] >= 2)  # no reaper is at work when the handler begins
    await _runs_once(house, holds_gil)


@on_sqlite
@pytest.mark.slow
async def test_a_handler_that_blocks_the_event_loop_for_three_leases_runs_once(house: House) -> None:
    async def blocks_loop() -> None:
        threading.Event().wait(3 * LEASE.total_seconds())
        await asyncio.sleep(0.05)

    await house.worker()
    await house.worker_elsewhere()
    await _runs_once(house, blocks_loop)


@on_sqlite
@pytest.mark.slow
async def test_a_thread_that_computes_for_three_leases_runs_once(house: House) -> None:
    def computes() -> None:
        watch = Watch()
        while watch.seconds < 3 * LEASE.total_seconds():
            pass

    await house.worker()
    await house.worker_elsewhere()
    await _runs_once(house, computes)


async def test_a_run_whose_lease_is_lost_is_stopped_and_writes_nothing(house: House) -> None:
    stopped = asyncio.Event()

    async def waits(ctx: Context) -> str:
        ctx.save("half.txt", "half")
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return "never"

    house.job("waits", waits)
    worker = await house.worker()
    job_id = await house.submit("waits")
    await house.running(job_id)

    thief = ReclaimRequest(
        owner=Owner("thief"), limit=1, lease_for=LEASE * 50, overdue_by=LEASE, dead=(worker.owner,), only=(job_id,)
    )
    assert len(await house.engine.reclaim(thief, token())) == 1

    await soon(stopped.wait(), within=LEASE.total_seconds() + 1)
    await eventually(lambda: bool(house.events(EndingLost)))
    assert (await house.look(job_id)).status is Status.RUNNING
    assert await house.artifacts(job_id) == []


@on_sqlite
async def test_a_lease_is_kept_while_the_error_file_is_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact store that hangs must not make others take over a job that has failed already."""
    put = house.runtime.artifacts.put

    async def hangs(path: str, data: bytes | AsyncIterator[bytes] | Path, *, content_type: str) -> Stored:
        await asyncio.sleep(1.5 * LEASE.total_seconds())
        return await put(path, data, content_type=content_type)

    async def fails() -> None:
        raise ValueError("no")

    monkeypatch.setattr(house.runtime.artifacts, "put", hangs)
    house.job("fails", fails)
    await house.worker()
    await house.worker_elsewhere()

    job = await house.ended(await house.submit("fails", max_attempts=1))

    assert await house.steps(job.id) == [Step.SUBMITTED, Step.CLAIMED, Step.FAILED]


async def test_the_lease_of_an_abandoned_run_is_kept_until_its_ending_is_stored(house: House, line: Line) -> None:
    """Also when its handler gives in at last, and while the store takes no endings."""
    let_go = asyncio.Event()

    async def swallows() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    house.job("swallows", swallows)
    await house.worker()
    await house.worker_elsewhere()
    job_id = await house.submit("swallows")
    await house.running(job_id)
    with line.down("settle"):
        await house.engine.cancel([job_id], token())
        await eventually(lambda: line.calls["settle"] >= 1)
        let_go.set()
        await asyncio.sleep(1.2 * LEASE.total_seconds())

    assert (await house.ended(job_id)).status is Status.CANCELLED
    assert house.events(Reclaimed) == []
