"""Connections cut, servers killed and servers that stand still: nothing acknowledged is lost or done twice."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TypeVar

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce
from tests.engines.redis.proxy import proxied
from tests.engines.redis.stores import fresh_url
from tests.servers.valkey import Valkey, valkey
from tidegate.core.job import Ending, JobId, Owner, Succeed
from tidegate.core.query import Event
from tidegate.core.verbs import Settled
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import EngineUnavailable

T = TypeVar("T")

ONCE = [Event.SUBMITTED, Event.CLAIMED, Event.SUCCEEDED]


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, always the same question."""
    while True:
        try:
            return await call()
        except EngineUnavailable:
            await asyncio.sleep(0.01)


@dataclass
class Fleet:
    """Clients and workers on one engine, each repeating what had no answer."""

    engine: RedisEngine
    wanted: int
    accepted: list[JobId] = field(default_factory=list)
    ended: list[JobId] = field(default_factory=list)

    async def run(self) -> None:
        """Until all jobs that are wanted have been accepted and ended."""
        clients = [self._submit(self.wanted // 4) for _ in range(4)]
        workers = [self._work(Owner(f"w{number}")) for number in range(4)]
        await asyncio.gather(*clients, *workers)

    async def _submit(self, jobs: int) -> None:
        for _ in range(jobs):
            job = new_job()
            await insist(partial(self.engine.submit, [job]))
            self.accepted.append(job.id)
            await asyncio.sleep(0)

    async def _work(self, owner: Owner) -> None:
        while len(self.ended) < self.wanted:
            claimed = await insist(partial(self.engine.claim, build.request(owner=owner, limit=5), nonce()))
            for lease in claimed.leases:
                ending = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed())
                assert await insist(partial(self.engine.settle, [ending])) == [Settled.APPLIED]
                self.ended.append(lease.job.id)
            await asyncio.sleep(0.001)

    async def check(self) -> None:
        """Every job went through each of its steps once."""
        assert sorted(self.accepted) == sorted(self.ended)
        for job_id in self.accepted:
            steps = await insist(partial(self.engine.history, job_id))
            assert [entry.event for entry in steps] == ONCE


async def test_connections_cut_again_and_again_lose_and_double_nothing(server: Valkey) -> None:
    async with proxied(server.port) as proxy, RedisEngine(_through(server, proxy.port)) as engine:
        fleet = Fleet(engine, wanted=400)
        running = asyncio.create_task(fleet.run())
        cuts = 0
        while not running.done():
            await asyncio.sleep(0.02)
            proxy.mute = cuts % 3 == 1  # what is answered just before a cut never arrives
            await asyncio.sleep(0.005)
            proxy.cut()
            proxy.mute = False
            cuts += 1
        await running
        assert cuts > 5
        await fleet.check()


def _through(server: Valkey, port: int, **options: str) -> str:
    return fresh_url(server, **options).replace(f":{server.port}/", f":{port}/")


@pytest.mark.slow
async def test_a_killed_server_that_comes_back_has_all_that_it_acknowledged() -> None:
    with valkey(appendonly="yes", appendfsync="always") as server:
        async with RedisEngine(server.url(durability="fsync")) as engine:
            fleet = Fleet(engine, wanted=1_200)
            running = asyncio.create_task(fleet.run())
            kills = 0
            while not running.done():
                await asyncio.sleep(0.15)
                server.kill()
                await asyncio.to_thread(server.start)
                kills += 1
                async with asyncio.timeout(3):
                    await insist(engine.stats)
            await running
            assert kills > 2
            await fleet.check()


@pytest.mark.slow
async def test_a_server_that_stands_still_fails_calls_at_their_deadline_and_goes_on_where_it_was(
    server: Valkey,
) -> None:
    async with RedisEngine(fresh_url(server, timeout="0.5")) as engine:
        fleet = Fleet(engine, wanted=200)
        running = asyncio.create_task(fleet.run())
        await asyncio.sleep(0.02)
        server.freeze()
        try:
            for _ in range(3):
                began = monotonic()
                with pytest.raises(EngineUnavailable):
                    await engine.stats()
                assert monotonic() - began < 2
        finally:
            server.thaw()
        await running
        await fleet.check()
