"""A store that lost its lines gives their numbers to others: nothing goes on under the old ones."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce
from tests.engines.redis.proxy import proxied
from tests.engines.redis.stores import fresh_url, keyspace
from tests.servers.valkey import Valkey, valkey
from tidegate.core.job import Ending, Succeed
from tidegate.core.query import JobQuery
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import EngineUnavailable


async def again(call: Callable[[], Awaitable[object]]) -> None:
    """Ask until there is an answer."""
    while True:
        try:
            await call()
        except EngineUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


async def types(engine: RedisEngine, *wanted: str) -> list[str]:
    """The types of the jobs that a worker of these gets."""
    request = build.request(types=frozenset(wanted), limit=10)
    return [lease.job.spec.type for lease in (await engine.claim(request, nonce())).leases]


async def _mixed_up(one: RedisEngine, other: RedisEngine) -> None:
    """`one` knows a line `work` of a store that is gone; its number is another's now."""
    await again(lambda: other.submit([new_job(type="email")]))
    work = new_job(type="work")
    await again(lambda: one.submit([work]))
    assert await types(other, "email") == ["email"]
    assert await types(one, "work") == ["work"]
    assert [job and job.spec.type for job in await one.get([work.id])] == ["work"]


async def test_a_restart_that_loses_all_mixes_up_no_types() -> None:
    with valkey() as server:
        url = server.url(durability="none")
        async with RedisEngine(url) as one, RedisEngine(url) as other:
            await one.submit([new_job(type="work")])
            server.kill()
            await asyncio.to_thread(server.start)
            await _mixed_up(one, other)


async def test_a_flush_under_open_connections_mixes_up_no_types() -> None:
    with valkey() as server:
        url = server.url(durability="none")
        async with RedisEngine(url) as one, RedisEngine(url) as other:
            await one.submit([new_job(type="work")])
            assert await types(other, "work") == ["work"]
            server.ask("FLUSHALL")
            await _mixed_up(one, other)


async def test_a_flush_under_open_connections_holds_up_nobody() -> None:
    with valkey() as server:
        async with RedisEngine(server.url(durability="none")) as engine:
            await engine.submit([new_job(type="a"), new_job(type="b")])
            server.ask("FLUSHALL")
            job = new_job(type="b")
            assert [receipt.job_id for receipt in await engine.submit([job])] == [job.id]
            assert [found.id for found in (await engine.find(JobQuery(type="b"))).jobs] == [job.id]
            assert (await engine.find(JobQuery(type="a"))).jobs == ()
            (lease,) = (await engine.claim(build.request(types=frozenset("b")), nonce())).leases
            server.ask("FLUSHALL")
            then = (new_job(type="b"),)
            ending = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed(), then=then)
            assert await engine.settle([ending]) == ["lost"]
            assert (await engine.stats()).lanes == ()


async def test_a_failover_that_loses_a_line_mixes_up_no_types() -> None:
    with valkey() as primary, valkey() as replica:
        async with proxied(primary.port) as proxy:
            url = proxy.url("?durability=none")
            async with RedisEngine(url) as one, RedisEngine(url) as other:
                await one.submit([new_job(type="old")])
                replica.ask("REPLICAOF", "127.0.0.1", str(primary.port))
                while await asyncio.to_thread(primary.ask, "WAIT", "1", "500") != ":1":
                    await one.submit([new_job(type="old")])
                replica.ask("REPLICAOF", "NO", "ONE")
                await one.submit([new_job(type="work")])
                proxy.upstream_port = replica.port
                proxy.cut()
                await _mixed_up(one, other)


@pytest.mark.parametrize(("lost", "asked"), [(False, 0), (True, 1)])
async def test_lines_are_asked_for_once_a_connection(server: Valkey, lost: bool, asked: int) -> None:
    async with proxied(server.port) as proxy, keyspace(server) as keys:
        url = fresh_url(server).replace(f":{server.port}/", f":{proxy.port}/")
        async with RedisEngine(url) as one, RedisEngine(url) as other:
            job = new_job()
            await one.submit([job])
            await other.get([job.id])
            if lost:
                proxy.cut()
                await asyncio.sleep(0.05)
            await keys.ask("CONFIG", "RESETSTAT")
            for _ in range(9):
                await other.get([job.id])
            used = str(await keys.ask("INFO", "commandstats"))
            assert sum(map(int, re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", used))) == asked
