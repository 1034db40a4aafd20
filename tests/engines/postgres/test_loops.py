"""One engine on many event loops and in no other process; two engines on one database."""

import asyncio
import os
import subprocess
import sys
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


GOODBYE_LESS = """
import asyncio, sys, threading
from tests.conformance.build import new_job
from tests.servers.postgres import execute
from tidegate.engines.sql.postgres.engine import PostgresEngine

database, case = sys.argv[1:]

async def sessions():
    await asyncio.sleep(0.1)
    return len(await execute(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidegate'"))

def on_a_loop_of_its_own(*steps):
    def run():
        loop = asyncio.new_event_loop()
        for step in steps:
            loop.run_until_complete(step())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

async def used_on_many():
    async with PostgresEngine(database) as engine:
        for _ in range(5):
            on_a_loop_of_its_own(lambda: engine.submit([new_job()]))
        print(await sessions() <= 3)

async def opened_on_another():
    engine = PostgresEngine(database)
    on_a_loop_of_its_own(engine.__aenter__, lambda: asyncio.sleep(0.2))
    await engine.check()
    await engine.__aexit__()

asyncio.run(globals()[case]())
print(asyncio.run(sessions()))
"""
"""Python warns of what such loops leave behind, so they have a process of their own."""


@pytest.mark.parametrize(("case", "shown"), [("used_on_many", "True\n0\n"), ("opened_on_another", "0\n")])
async def test_loops_that_closed_without_a_goodbye_keep_no_connection(database: str, case: str, shown: str) -> None:
    command = [sys.executable, "-c", GOODBYE_LESS, database, case]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await process.communicate()
    assert told.decode() == shown


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
