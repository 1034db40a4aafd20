"""submit_in: jobs that exist if and only if the caller's own transaction is committed, and that block nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.conformance.build import claim, lane, new_job, nonce, reclaim_request, request, submit
from tests.conformance.harness import Harness
from tests.conformance.postgres_store import database_of
from tidegate.core.job import Ending, Succeed
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.errors import InvalidInput


def engine_of(harness: Harness) -> PostgresEngine:
    """The engine, as what it is."""
    assert isinstance(harness.engine, PostgresEngine)
    return harness.engine


@asynccontextmanager
async def customer(harness: Harness) -> AsyncIterator[Connection]:
    """A connection of the application's own, with a table of its own."""
    connection: Connection = await asyncpg.connect(database_of(harness))
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS orders (id integer)")
        yield connection
    finally:
        connection.terminate()


async def test_jobs_are_there_once_the_transaction_is_committed(harness: Harness) -> None:
    job = new_job()
    async with customer(harness) as mine:
        async with mine.transaction():
            await mine.execute("INSERT INTO orders VALUES (1)")
            assert await engine_of(harness).submit_in(mine, [job]) == [Receipt(job.id, Submission.CREATED)]
            assert (await claim(harness)).leases == ()
            assert await harness.engine.get([job.id]) == [None]
        assert [lease.job.id for lease in (await claim(harness)).leases] == [job.id]
    assert [entry.seq for entry in await harness.engine.history(job.id)] == [1, 2]


async def test_a_rollback_leaves_nothing(harness: Harness) -> None:
    job = new_job(idempotency_key="once")
    async with customer(harness) as mine:
        transaction = mine.transaction()
        await transaction.start()
        await engine_of(harness).submit_in(mine, [job, new_job()])
        await transaction.rollback()
        assert (await claim(harness)).leases == ()
        assert (await harness.engine.find(JobQuery())).jobs == ()
        assert await harness.engine.known([("ada", "once")]) == [None]
        await submit(harness, job)


async def test_without_a_transaction_it_is_refused(harness: Harness) -> None:
    async with customer(harness) as mine:
        with pytest.raises(InvalidInput, match="no transaction open"):
            await engine_of(harness).submit_in(mine, [new_job()])
    assert (await harness.engine.find(JobQuery())).jobs == ()


async def test_an_open_transaction_keeps_nobody_waiting(harness: Harness) -> None:
    async with customer(harness) as mine, mine.transaction():
        await engine_of(harness).submit_in(mine, [new_job(idempotency_key="mine", lane=lane("new"))])
        async with asyncio.timeout(5):
            ids = await submit(harness, new_job(), new_job(idempotency_key="another"), new_job(lane=lane("new")))
            leases = (await harness.engine.claim(request(), nonce())).leases
            assert sorted(lease.job.id for lease in leases) == ids
            endings = [Ending(job_id=one.job.id, token=one.token, settlement=Succeed()) for one in leases]
            await harness.engine.settle(endings)
            await harness.engine.reclaim(reclaim_request(), nonce())
            await harness.engine.cancel(ids, nonce())
            await harness.engine.prune(10)
            await harness.engine.stats()


async def test_who_asks_for_an_id_or_key_in_doubt_is_told_that_it_is_busy(harness: Harness) -> None:
    keyed, plain = new_job(idempotency_key="k"), new_job()
    twin = new_job(idempotency_key="k")
    free = new_job()
    async with customer(harness) as mine:
        async with mine.transaction():
            await engine_of(harness).submit_in(mine, [keyed, plain])
            async with asyncio.timeout(5):
                receipts = await harness.engine.submit([twin, free, plain])
            fates = [receipt.submission for receipt in receipts]
            assert fates == [Submission.BUSY, Submission.CREATED, Submission.BUSY]
        receipts = await harness.engine.submit([twin, free, plain])
        assert receipts == [Receipt(job.id, Submission.REPLAYED) for job in (keyed, free, plain)]


async def test_after_a_rollback_the_id_and_key_are_free(harness: Harness) -> None:
    job = new_job(idempotency_key="k")
    async with customer(harness) as mine:
        transaction = mine.transaction()
        await transaction.start()
        await engine_of(harness).submit_in(mine, [job])
        assert [receipt.submission for receipt in await harness.engine.submit([job])] == [Submission.BUSY]
        await transaction.rollback()
        assert [receipt.submission for receipt in await harness.engine.submit([job])] == [Submission.CREATED]


async def test_the_callers_transaction_goes_on_though_a_job_is_busy(harness: Harness) -> None:
    job = new_job(idempotency_key="k")
    async with customer(harness) as mine, customer(harness) as other, other.transaction():
        await engine_of(harness).submit_in(other, [job])
        async with mine.transaction():
            await mine.execute("INSERT INTO orders VALUES (2)")
            (receipt,) = await engine_of(harness).submit_in(mine, [new_job(idempotency_key="k")])
            assert receipt.submission is Submission.BUSY
        assert await mine.fetchval("SELECT count(*) FROM orders WHERE id = 2") == 1


async def test_the_callers_settings_are_left_as_they_were(harness: Harness) -> None:
    async with customer(harness) as mine, mine.transaction():
        await mine.execute("SET LOCAL lock_timeout = '7s'; SET LOCAL search_path = public")
        await engine_of(harness).submit_in(mine, [new_job(), new_job(idempotency_key="k")])
        shown = [await mine.fetchval(f"SHOW {name}") for name in ("lock_timeout", "search_path", "enable_seqscan")]
    assert shown == ["7s", "public", "on"]
