"""One engine on many event loops and in no other process; two engines on one database."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.conformance.build import claim, lane, new_job, nonce, request, set_gates, submit
from tests.conformance.harness import Harness
from tests.servers.postgres import execute
from tidegate.core.job import JobId
from tidegate.core.verbs import Gate, Submission
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.errors import EngineUnavailable


_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidegate'"


async def test_each_threads_own_loop_may_call_the_verbs(harness: Harness) -> None:
    def submitted(_: int) -> JobId:
        (receipt,) = asyncio.run(harness.engine.submit([new_job()]))
        return receipt.job_id

    with ThreadPoolExecutor(4) as threads:
        loop = asyncio.get_running_loop()
        ids = await asyncio.gather(*(loop.run_in_executor(threads, submitted, n) for n in range(12)))
    assert sorted(lease.job.id for lease in (await claim(harness)).leases) == sorted(ids)


async def test_a_loop_that_ends_leaves_no_connection_behind(database: str) -> None:
    async with PostgresEngine(database) as engine:
        for _ in range(5):
            await asyncio.to_thread(lambda: asyncio.run(engine.submit([new_job()])))
        ((sessions,),) = await execute(
            database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidegate'"
        )
        assert sessions <= 3
    await asyncio.sleep(0.1)
    assert await execute(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidegate'") == []


async def test_loops_that_closed_without_a_goodbye_keep_no_connection_for_long(database: str) -> None:
    def once(engine: PostgresEngine) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(engine.submit([new_job()]))
        loop.close()

    async with PostgresEngine(database) as engine:
        for _ in range(5):
            await asyncio.to_thread(once, engine)
        await asyncio.sleep(0.1)
        assert len(await execute(database, _SESSIONS)) <= 3
    await asyncio.sleep(0.1)
    assert await execute(database, _SESSIONS) == []


async def test_an_engine_whose_loop_is_closed_is_closed_on_another(database: str) -> None:
    engine = PostgresEngine(database)

    def opened() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(engine.__aenter__())
        loop.run_until_complete(asyncio.sleep(0.2))
        loop.close()

    await asyncio.to_thread(opened)
    await engine.check()
    await engine.__aexit__()
    await asyncio.sleep(0.1)
    assert await execute(database, _SESSIONS) == []


async def test_a_loop_that_goes_on_is_let_go_of_when_the_engine_closes(database: str) -> None:
    ready, over = asyncio.Event(), threading.Event()
    mine = asyncio.get_running_loop()

    async def there(engine: PostgresEngine) -> None:
        await engine.check()
        mine.call_soon_threadsafe(ready.set)
        await asyncio.to_thread(over.wait)

    engine = PostgresEngine(database)
    async with engine:
        other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(there(engine))))
        await ready.wait()
    sessions = await execute(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidegate'")
    over.set()
    await other
    assert sessions == []


async def test_a_closed_engine_says_so_and_may_be_opened_again(database: str) -> None:
    engine = PostgresEngine(database)
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.check()
    for _ in range(2):
        async with engine:
            await engine.check()
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.check()


async def test_a_forked_child_must_open_its_own(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await harness.engine.check()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(EngineUnavailable, match="must open its own"):
        await harness.engine.check()


async def test_calls_under_way_are_finished_before_an_engine_closes(database: str) -> None:
    async with PostgresEngine(f"{database}?pool=2") as engine:
        calls = [asyncio.create_task(engine.submit([new_job()])) for _ in range(20)]
        await asyncio.sleep(0)
    fates = [receipt.submission for call in calls for receipt in await call]
    assert fates == [Submission.CREATED] * 20


async def test_a_cancelled_call_harms_no_other(database: str) -> None:
    async with PostgresEngine(f"{database}?pool=2") as engine:
        for _ in range(20):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    await engine.submit([new_job() for _ in range(20)])
        await asyncio.gather(*(engine.check() for _ in range(10)))


async def test_claims_of_two_engines_that_race_for_one_place_get_one_lease(harness: Harness) -> None:
    async with harness.other() as other:
        for era in range(1, 6):
            await set_gates(harness, Gate(name="upstream:up", limit=1, era=era))
            await submit(harness, *(new_job(lane=lane("up")) for _ in range(3)))
            engines = (harness.engine, other) * 10
            claims = await asyncio.gather(*(engine.claim(request(), nonce()) for engine in engines))
            assert sum(len(claimed.leases) for claimed in claims) == 1


async def test_two_engines_see_each_others_work_at_once(harness: Harness) -> None:
    async with harness.other() as other:
        ids = await submit(harness, *(new_job() for _ in range(5)))
        leases = (await other.claim(request(), nonce())).leases
        assert sorted(lease.job.id for lease in leases) == ids
        assert await harness.engine.holders() == [leases[0].owner]
