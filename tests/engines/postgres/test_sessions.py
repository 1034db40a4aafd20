"""What holds on every connection, whatever the role and the database say of their own."""

import asyncio

import asyncpg
import pytest

from tests.conformance.build import lane, new_job, nonce, request, seconds, turns
from tests.engines.postgres.pooler import pooler
from tests.servers.postgres import execute, port_of
from tidegate.core.verbs import Gate, Swap, Take
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.errors import ConfigError, EngineUnavailable


@pytest.fixture
async def stricter(database: str) -> str:
    """A database whose transactions are repeatable reads, unless they say otherwise."""
    name = database.rpartition("/")[2]
    await execute(database, f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    return database


async def test_a_window_holds_where_the_database_asks_for_repeatable_reads(stricter: str) -> None:
    async with PostgresEngine(f"{stricter}?pool=20") as engine:
        for n in range(10):
            take = Take(key=f"k{n}", n=1, limit=3, window=seconds(60))
            taken = await asyncio.gather(*(engine.take([take], nonce()) for _ in range(20)))
            assert sum(one.granted for (one,) in taken) == 3


async def test_a_gate_holds_where_the_database_asks_for_repeatable_reads(stricter: str) -> None:
    async with PostgresEngine(f"{stricter}?pool=20") as engine:
        await asyncio.gather(*(engine.check() for _ in range(20)))
        for n in range(10):
            gate = Gate(name=f"upstream:u{n}", limit=3, era=1)
            await engine.swap(
                Swap(kind="upstreams", key=f"u{n}", expected=0, value=b"{}", nonce=nonce(), gates=(gate,))
            )
            queues = [f"q{n}.{m}" for m in range(15)]
            await engine.submit([new_job(lane=lane(f"u{n}", queue=queue)) for queue in queues * 2])
            asked = (engine.claim(request(turns=turns(queue), limit=2), nonce()) for queue in queues)
            claims = await asyncio.gather(*asked)
            assert sum(len(claimed.leases) for claimed in claims) == 3


async def test_a_pooler_that_gives_repeatable_reads_is_refused(stricter: str) -> None:
    async with pooler(port_of(stricter)) as before:
        url = f"{stricter.replace(f':{port_of(stricter)}', f':{before.port}')}?pooler=transaction"
        with pytest.raises(ConfigError, match="default_transaction_isolation = 'read committed'"):
            await PostgresEngine(url).__aenter__()


async def _sessions(database: str) -> int:
    ((sessions,),) = await execute(
        database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidegate'"
    )
    return int(sessions)


async def test_calls_that_were_given_up_leave_the_server_soon(database: str) -> None:
    connection = await asyncpg.connect(database)
    async with PostgresEngine(f"{database}?timeout=1&pool=3") as engine:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tidegate.jobs IN ACCESS EXCLUSIVE MODE")
            for _ in range(4):
                refusals = await asyncio.gather(*(engine.stats() for _ in range(3)), return_exceptions=True)
                assert {type(refusal) for refusal in refusals} == {EngineUnavailable}
            assert await _sessions(database) <= 2 * 3 + 1, "one more listens, and some are about to go"
        await engine.check()
    await connection.close()


async def test_who_waits_for_anothers_migration_waits_longer_than_a_call(database: str) -> None:
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tidegate migrates tidegate', 0))")
    engine = PostgresEngine(f"{database}?timeout=1")
    opening = asyncio.create_task(engine.__aenter__())
    await asyncio.sleep(1.5)
    await transaction.rollback()
    await connection.close()
    await opening
    await engine.check()
    await engine.__aexit__()
