"""Files that nothing refers to go; files that something refers to stay."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from tests.worker.house import House
from tidegate.artifacts import uploads
from tidegate.clock import FakeClock
from tidegate.core.paths import job_prefix
from tidegate.wiring import new_job_id
from tidegate.worker.sweeper import Sweeper


async def _uploaded(house: House, clock: FakeClock) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a,b\n1,2\n"

    incoming = uploads.Incoming(
        upload_id=new_job_id(), name="x.csv", user_id="ada", content_type="text/csv", created_at=clock.now()
    )
    return (await uploads.receive(house.system.artifacts, chunks(), incoming, limit=100)).reference


async def test_a_sweep_removes_old_uploads_and_folders_of_unknown_jobs_and_nothing_else(house: House) -> None:
    house.job("work", lambda: {"kept": True})
    await house.worker()
    known, unknown = await house.submit("work"), new_job_id()
    await house.ended(known)
    await house.runtime.artifacts.put(job_prefix(unknown) + "1-00000000/result.json", b"1", content_type="x/y")
    clock = FakeClock(house.clock.now())
    reference = await _uploaded(house, clock)
    sweeper = Sweeper(replace(house.runtime, clock=clock))

    young = await sweeper.sweep()
    clock.advance(timedelta(hours=25))
    old = await sweeper.sweep()

    assert (young, old) == (0, 2)
    assert await house.artifacts(known) == ["result.json"]
    assert [found async for found in house.runtime.artifacts.list(f"jobs/{unknown}")] == []
    assert [found async for found in house.runtime.artifacts.list("uploads")] == []
    assert reference.startswith("upload:")
