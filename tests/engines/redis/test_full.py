"""A store whose memory is full: nothing goes in, and everything in it can still come out."""

from pathlib import Path

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, nonce, seconds
from tests.conformance.harness import Harness
from tests.engines.redis.stores import Keyspace, fresh_url, keyspace, opened
from tests.servers.valkey import newest, oldest, valkey
from tidegate.core.job import Bury, Retry, Succeed
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Beat, Swap, Take
from tidegate.errors import EngineUnavailable

JOBS = 300
FULL = "memory is full"


async def _refuses(harness: Harness, keys: Keyspace) -> None:
    """What would fill the store is refused, and changes nothing."""
    before = await keys.dump()
    with pytest.raises(EngineUnavailable, match=FULL):
        await harness.engine.submit([new_job()])
    with pytest.raises(EngineUnavailable, match=FULL):
        await harness.engine.swap(Swap(kind="k", key="k", value=b"v", expected=0, nonce=nonce()))
    with pytest.raises(EngineUnavailable, match=FULL):
        await harness.engine.take([Take(key="k", n=1, limit=1, window=seconds(1))], nonce())
    assert await keys.dump() == before


async def _drains(harness: Harness) -> None:
    """Every job that can be claimed is, and ends."""
    while leases := (await build.claim(harness)).leases:
        for lease in leases:
            await build.end(harness, lease, Succeed(result=b"y" * 100))
    harness.advance(86_401)
    assert len(await harness.engine.prune(1_000)) == JOBS
    assert (await harness.engine.stats()).lanes == ()


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_full_store_refuses_new_jobs_and_drains_to_empty(program: Path) -> None:
    with valkey(program) as server:
        async with keyspace(server) as keys, opened(fresh_url(server)) as harness:
            await build.submit(harness, *(new_job(payload=b"x" * 5_000) for _ in range(JOBS)))
            running = list((await build.claim(harness, limit=10)).leases)
            await keys.ask("CONFIG", "SET", "maxmemory", 1_000_000)
            await _refuses(harness, keys)

            beats = [Beat(lease.job.id, lease.token) for lease in running]
            assert await harness.engine.renew(beats, seconds(30)) == ["held"] * 10
            await build.settle(harness, running.pop(), Retry(delay=seconds(0), failure=build.failure()))
            failed = await build.end(harness, running.pop(), Bury(failure=build.failure()))
            assert await harness.engine.dismiss([failed]) == ["dismissed"]
            with pytest.raises(EngineUnavailable, match=FULL):
                await harness.engine.revive([failed], nonce())
            cancelled = (await harness.engine.find(JobQuery(limit=5))).jobs
            assert await build.cancel(harness, *(job.id for job in cancelled)) == ["cancelled"] * 5
            harness.advance(60)
            assert len(await build.reclaim(harness)) == 8
            harness.advance(60)
            for taken in await build.reclaim(harness):
                await build.end(harness, taken.lease, Succeed())
            await _drains(harness)
            await keys.ask("CONFIG", "SET", "maxmemory", 0)
            assert await build.claimed_ids(harness) == []
            await build.submit_one(harness)
