"""durability=replicated: what is acknowledged is on a replica, and what only reads waits for none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce
from tests.engines.redis.proxy import Proxy, proxied
from tests.engines.redis.test_outages import insist
from tests.servers.valkey import Valkey, newest, oldest, valkey
from tidegate.core.job import Ending, Succeed
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import EngineUnavailable

BOTH = pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)


@asynccontextmanager
async def watched(program: Path) -> AsyncIterator[tuple[Valkey, Proxy, Valkey]]:
    """A primary and its replica, and what stands between them."""
    with valkey(program, repl_diskless_sync_delay="0") as primary, valkey(program) as replica:
        async with proxied(primary.port) as between:
            replica.ask("REPLICAOF", "127.0.0.1", str(between.port))
            while await asyncio.to_thread(primary.ask, "WAIT", "1", "100") != ":1":
                primary.ask("SET", "anything", "x")
            yield primary, between, replica


@BOTH
async def test_a_repeat_is_acknowledged_only_when_a_replica_has_what_it_repeats(program: Path) -> None:
    async with watched(program) as (primary, between, _):
        url = primary.url(durability="replicated", timeout="1")
        job = new_job(idempotency_key="k")
        async with RedisEngine(url) as one, RedisEngine(url) as other:
            await insist(partial(other.submit, [new_job()]))
            between.mute = True
            for engine in (one, other, one):
                with pytest.raises(EngineUnavailable, match="replica"):
                    await engine.submit([job])
            async with RedisEngine(url) as late:
                with pytest.raises(EngineUnavailable, match="replica"):
                    await late.submit([job])


@BOTH
async def test_work_goes_on_as_ever_and_is_on_the_replica(program: Path) -> None:
    async with watched(program) as (primary, _, replica):
        async with RedisEngine(primary.url(durability="replicated")) as engine:
            job = new_job()
            await engine.submit([job])
            (lease,) = (await engine.claim(build.request(), nonce())).leases
            await engine.settle([Ending(job_id=job.id, token=lease.token, settlement=Succeed())])
            assert (await engine.stats()).lanes[0].succeeded == 1
        primary.kill()
        replica.ask("REPLICAOF", "NO", "ONE")
        async with RedisEngine(replica.url(durability="none")) as promoted:
            assert [known and known.status for known in await promoted.get([job.id])] == ["succeeded"]


async def test_a_primary_that_became_a_replica_is_read_no_more_once_a_write_found_out() -> None:
    async with watched(newest()) as (primary, _, replica), RedisEngine(primary.url(durability="replicated")) as engine:
        await insist(partial(engine.submit, [new_job()]))
        await engine.stats()
        primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                await engine.submit([new_job()])
        with pytest.raises(EngineUnavailable, match="replica"):
            await engine.stats()


async def test_reads_go_on_while_writes_wait_for_a_replica_that_stands_still() -> None:
    async with (
        watched(newest()) as (primary, between, _),
        RedisEngine(primary.url(durability="replicated", timeout="2")) as engine,
    ):
        job = new_job()
        await engine.submit([job])
        between.mute = True
        writes = [asyncio.create_task(engine.submit([new_job()])) for _ in range(5)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1.7):
            for _ in range(20):
                assert [known and known.id for known in await engine.get([job.id])] == [job.id]
                await engine.stats()
        assert not any(write.done() for write in writes)
        failures = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(failure, EngineUnavailable) for failure in failures)
