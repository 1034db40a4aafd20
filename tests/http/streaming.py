"""Ears for streams of events, and a hand that does a worker's steps one by one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.handlers import application
from tests.http.reach import plain_settings, served
from tests.worker.house import Watch, dead_owner, url_of
from tidegate.app import Tidegate
from tidegate.clock import token
from tidegate.core.fairness import Turn
from tidegate.core.job import Ending, JobId, Lease, Progress, Settlement, Succeed
from tidegate.core.verbs import Beat, ClaimRequest, Renewal, Settled

LEASE = timedelta(seconds=60)

Served = tuple[httpx2.AsyncClient, Tidegate]


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream."""

    event: str
    id: str | None
    data: dict[str, object]

    @property
    def key(self) -> tuple[object, object]:
        """The step that it tells of."""
        return self.data["job_id"], self.data["seq"]


class Ear:
    """Hears one stream. `place` is the newest id, `comments` and `retry` what else was said."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.place: str | None = None
        self.comments = 0
        self.retry = ""
        self._lines = response.aiter_lines()

    async def next(self, within: float = 5) -> Told:
        """The next event; fails where there is none in time, or the stream ends."""
        async with asyncio.timeout(within):
            told = await self._event()
        assert told is not None, "the stream has ended"
        return told

    async def rest(self, within: float = 5) -> list[Told]:
        """All that comes until the stream ends, which it must in time."""
        found = []
        async with asyncio.timeout(within):
            while (told := await self._event()) is not None:
                found.append(told)
        return found

    async def comment(self, within: float = 5) -> None:
        """Return at the next comment."""
        before = self.comments
        async with asyncio.timeout(within):
            async for line in self._lines:
                self._note(line, {})
                if self.comments > before:
                    return

    async def _event(self) -> Told | None:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                self._note(line, fields)
            elif "data" in fields:
                return Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
            else:
                fields = {}
        return None

    def _note(self, line: str, fields: dict[str, str]) -> None:
        name, _, value = line.partition(": ")
        fields[name] = value
        if line.startswith(":"):
            self.comments += 1
        elif name == "id":
            self.place = value
        elif name == "retry":
            self.retry = value


@asynccontextmanager
async def listening(client: httpx2.AsyncClient, path: str, place: str | bytes | None = None) -> AsyncIterator[Ear]:
    """An ear at this stream, from `place` on."""
    headers = {} if place is None else {b"Last-Event-ID": place.encode() if isinstance(place, str) else place}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Ear(response)


@asynccontextmanager
async def restarted(store: str, folder: Path) -> AsyncIterator[Callable[[], Awaitable[Served]]]:
    """Gives a server of one store, in the place of the one before; jobs in memory stay with the first."""
    async with url_of(store, folder) as url, AsyncExitStack() as stack:
        settings = plain_settings(folder / "data").model_copy(update={"engine": url, "poll": timedelta(seconds=0.05)})
        running: list[Served] = []

        async def another() -> Served:
            if not running or store != "memory":
                await stack.aclose()
                app = application(settings)
                running.append((await stack.enter_async_context(served(app, settings)), app))
            return running[-1]

        yield another


async def claim(app: Tidegate, job_type: str = "echo") -> Lease:
    """Start the run of the one job that is ready."""
    request = ClaimRequest(
        owner=dead_owner(),
        turns=(Turn(queue="default", quota=1),),
        types=frozenset({job_type}),
        limit=1,
        lease_for=LEASE,
    )
    [lease] = (await app.system.engine.claim(request, token())).leases
    return lease


async def say(app: Tidegate, lease: Lease, fraction: float) -> None:
    """Say how far the run is."""
    beat = Beat(lease.job.id, lease.token, Progress(fraction=fraction))
    assert await app.system.engine.renew([beat], LEASE) == [Renewal.HELD]


async def settle(app: Tidegate, lease: Lease, settlement: Settlement) -> None:
    """End the run."""
    ending = Ending(job_id=lease.job.id, token=lease.token, settlement=settlement)
    assert await app.system.engine.settle([ending]) == [Settled.APPLIED]


async def finish(app: Tidegate, job_id: str) -> None:
    """Run the one job that is ready, to its good end."""
    lease = await claim(app)
    assert lease.job.id == job_id
    await settle(app, lease, Succeed(result=b'"done"'))


async def steps(app: Tidegate, job_id: str) -> list[tuple[int, str]]:
    """The job's history, as the store has it."""
    return [(entry.seq, str(entry.event)) for entry in await app.system.engine.history(JobId(job_id))]


class Counted:
    """How often a verb of the store was called; `fault`, while it is set, is what comes of it."""

    def __init__(self, app: Tidegate, verb: str, patch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.fault: Exception | None = None
        plain: Callable[..., Awaitable[object]] = getattr(app.system.engine, verb)

        async def counted(*arguments: object) -> object:
            self.calls += 1
            if self.fault is not None:
                raise self.fault
            return await plain(*arguments)

        patch.setattr(app.system.engine, verb, counted)


async def silent(*counted: Counted, within: float = 5) -> None:
    """Return once none of these is called for a while; fails where they go on."""
    watch = Watch()
    while watch.seconds < within:
        before = [one.calls for one in counted]
        await asyncio.sleep(0.15)
        if before == [one.calls for one in counted]:
            return
    raise AssertionError("they are called still")
