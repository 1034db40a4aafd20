"""A batch of several steps, more than one of them under way at a time."""

import asyncio

import pytest

from tests.conformance import build
from tests.conformance.build import new_job
from tests.engines.redis.stores import fresh_url, opened
from tests.servers.valkey import Valkey, valkey
from tidegate.core.verbs import Submission
from tidegate.engines.redis.engine import RedisEngine
from tidegate.engines.redis.submitting import BATCH
from tidegate.errors import EngineUnavailable, InvalidInput

STEPS = 7


async def test_receipts_and_lines_keep_the_order_of_the_jobs(server: Valkey) -> None:
    async with opened(fresh_url(server)) as harness:
        ids = await build.submit(harness, *(new_job() for _ in range(STEPS * BATCH + 1)))
        assert [job.seq for job in await harness.engine.get(ids) if job] == list(range(1, len(ids) + 1))
        assert await build.claimed_ids(harness, limit=300) == ids[:300]


async def test_a_job_twice_in_a_batch_is_accepted_once_however_far_apart(server: Valkey) -> None:
    async with opened(fresh_url(server)) as harness:
        job, keyed = new_job(), new_job(idempotency_key="k")
        others = [new_job() for _ in range(STEPS * BATCH)]
        receipts = await harness.engine.submit([job, keyed, *others, job, new_job(idempotency_key="k")])
        told = [receipt.submission for receipt in receipts]
        assert told[-2:] == [Submission.REPLAYED] * 2
        assert set(told[:-2]) == {Submission.CREATED}
        assert [receipt.job_id for receipt in receipts[-2:]] == [job.id, keyed.id]


async def test_all_jobs_are_checked_before_any_is_stored(server: Valkey) -> None:
    async with opened(fresh_url(server)) as harness:
        jobs = [new_job() for _ in range(STEPS * BATCH)]
        with pytest.raises(InvalidInput):
            await harness.engine.submit([*jobs, new_job(priority=10)])
        assert (await harness.engine.stats()).lanes == ()


async def test_when_a_step_fails_the_batch_does_and_none_is_left_under_way() -> None:
    with valkey() as server:
        async with RedisEngine(fresh_url(server)) as engine:
            before = asyncio.all_tasks()
            server.freeze()
            asyncio.get_running_loop().call_later(0.1, server.kill)
            with pytest.raises(EngineUnavailable):
                await engine.submit([new_job() for _ in range(STEPS * BATCH)])
            assert asyncio.all_tasks() == before
