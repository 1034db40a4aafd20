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
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.worker.faults import Line
from tests.worker.house import LEASE, House, Watch, eventually, soon
from tidegate.clock import token
from tidegate.context import Context
from tidegate.core.job import Owner, Status
from tidegate.core.query import Event as Step
from tidegate.core.verbs import ReclaimRequest
from tidegate.ports import Stored
from tidegate.telemetry.events import EndingLost, Reclaimed

ONE_RUN = [Step.SUBMITTED, Step.CLAIMED, Step.SUCCEEDED]


def _hold_gil() -> None:
    """A C call that never lets other threads run; a lease takes at most a second of it at a time."""
    ctypes.PyDLL(None).usleep(int(3 * LEASE.total_seconds() * 1_000_000))


def _block_loop() -> None:
    threading.Event().wait(3 * LEASE.total_seconds())


@pytest.mark.slow
@pytest.mark.parametrize("block", [_block_loop, _hold_gil])
async def test_a_handler_that_blocks_everything_for_three_leases_runs_once(
    house: House, block: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a second, idle worker of the same process beside it. For several processes see the module's text."""
    line = Line(house.engine, monkeypatch)
    runs: list[int] = []

    async def blocks(ctx: Context) -> str:
        runs.append(ctx.run)
        block()
        await asyncio.sleep(0.05)  # here the others of this process learn how late it is
        return "done"

    house.job("blocks", blocks)
    await house.worker()
    await house.worker()
    await eventually(lambda: line.answers["reclaim"] >= 2)  # no reaper is at work when the handler begins

    job = await house.ended(await house.submit("blocks"), within=15)

    assert (job.status, runs) == (Status.SUCCEEDED, [1])
    assert await house.steps(job.id) == ONE_RUN


@pytest.mark.slow
async def test_a_thread_that_computes_for_three_leases_runs_once(house: House) -> None:
    def computes() -> int:
        watch, rounds = Watch(), 0
        while watch.seconds < 3 * LEASE.total_seconds():
            rounds += 1
        return 1

    house.job("computes", computes)
    await house.worker()
    await house.worker()

    job = await house.ended(await house.submit("computes"), within=15)

    assert await house.steps(job.id) == ONE_RUN


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


async def test_a_lease_is_kept_while_the_ending_is_being_stored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact store that hangs must not make others take over a job that has failed already."""
    put, hung = house.runtime.artifacts.put, asyncio.Event()

    async def hangs(path: str, data: bytes | AsyncIterator[bytes] | Path, *, content_type: str) -> Stored:
        if path.endswith("error.json"):
            hung.set()
            await asyncio.sleep(2.5 * LEASE.total_seconds())
        return await put(path, data, content_type=content_type)

    async def fails() -> None:
        raise ValueError("no")

    monkeypatch.setattr(house.runtime.artifacts, "put", hangs)
    house.job("fails", fails)
    await house.worker()
    await house.worker()
    job_id = await house.submit("fails", max_attempts=1)

    await soon(hung.wait())
    job = await house.ended(job_id, within=10)

    assert await house.steps(job.id) == [Step.SUBMITTED, Step.CLAIMED, Step.FAILED]
    assert house.events(Reclaimed) == []
