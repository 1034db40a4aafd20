"""Hints cross processes, and none falls between a claim and the wait after it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from tests.conformance import build
from tests.conformance.build import nonce, seconds
from tests.conformance.harness import Harness
from tests.engines.redis.proxy import proxied
from tests.engines.redis.stores import fresh_url, keyspace, opened
from tests.servers.valkey import Valkey
from tidegate.core.job import JobId, Succeed
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.engine import RedisEngine
from tidegate.ports import Engine


@asynccontextmanager
async def pair(server: Valkey) -> AsyncIterator[tuple[Harness, Engine]]:
    """Two engines on one store, as in two processes."""
    async with opened(fresh_url(server)) as harness, harness.other() as other:
        yield harness, other


async def _wakes(engine: Engine, topic: str, act: Callable[[], Awaitable[object]]) -> None:
    """A wait of `engine` ends soon after `act` is done."""
    waiting = asyncio.create_task(engine.wait([topic], seconds(30)))
    await asyncio.sleep(0.05)
    await act()
    async with asyncio.timeout(15):
        await waiting


async def test_what_another_process_does_ends_a_wait(server: Valkey) -> None:
    async with pair(server) as (harness, other):
        await _wakes(other, "queue:default", lambda: build.submit_one(harness))
        lease = await build.claim_one(harness)
        await _wakes(other, f"job:{lease.job.id}", lambda: build.end(harness, lease, Succeed()))
        job_id = await build.submit_one(harness)
        await _wakes(other, f"job:{job_id}", lambda: build.cancel(harness, job_id))
        await _wakes(other, "queue:default", lambda: harness.engine.revive([job_id], nonce()))


async def test_a_hint_between_a_claim_and_the_wait_after_it_is_not_lost(server: Valkey) -> None:
    async with pair(server) as (harness, other):
        assert not (await other.claim(build.request(), nonce())).leases
        await build.submit_one(harness)
        await asyncio.sleep(0.05)
        began = monotonic()
        await other.wait(["queue:default", "queue:low"], seconds(5))
        assert monotonic() - began < 4
        await other.wait(["queue:default"], seconds(0.3))
        assert monotonic() - began > 0.3, "one hint wakes once"


async def test_a_lost_connection_wakes_everybody_for_what_may_have_been_missed(server: Valkey) -> None:
    url = fresh_url(server)
    async with proxied(server.port) as proxy, opened(url.replace(f":{server.port}/", f":{proxy.port}/")) as harness:

        async def cut() -> None:
            proxy.cut()

        await _wakes(harness.engine, "queue:default", cut)
        await _wakes(harness.engine, "job:x", lambda: _submit_and_cut(harness, cut))


async def _submit_and_cut(harness: Harness, cut: Callable[[], Awaitable[None]]) -> JobId:
    job_id = await build.submit_one(harness)
    await cut()
    return job_id


@pytest.mark.parametrize("topics", [[], ["queue:default"]])
async def test_a_wait_needs_no_connection(server: Valkey, topics: list[str]) -> None:
    async with proxied(server.port) as proxy:
        url = fresh_url(server).replace(f":{server.port}/", f":{proxy.port}/")
        async with opened(url) as harness:
            proxy.refuse = True
            proxy.cut()
            await asyncio.sleep(0.05)
            await harness.engine.wait(topics, seconds(0.05))
            proxy.refuse = False


async def test_a_hint_that_is_no_text_is_nobody_s_and_costs_no_connection(server: Valkey) -> None:
    url = fresh_url(server)
    async with keyspace(server) as keys, proxied(server.port) as proxy:
        through = url.replace(f":{server.port}/", f":{proxy.port}/")
        async with RedisEngine(through) as engine:
            await engine.claim(build.request(), nonce())
            assert await keys.ask("PUBLISH", f"{read_address(url).prefix}hints", b"\xff\xfe") == 1
            await engine.stats()
            assert proxy.connections == 1
