"""Jobs are entered before they are flushed, so that workers hear of them soon; what is told of them is flushed."""

import signal
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest

from tests.conformance.build import new_job, nonce, request
from tests.servers.postgres import PostgresServer, new_database, running
from tidegate.core.job import NewJob
from tidegate.core.verbs import Submission
from tidegate.engines.sql.postgres.engine import PostgresEngine


@pytest.fixture
def lazy() -> Iterator[PostgresServer]:
    """A server that flushes on demand only."""
    with running(settings=("wal_writer_delay=10s",)) as server:
        yield server


async def _left_unflushed(engine: PostgresEngine, url: str, job: NewJob) -> None:
    """Submit as somebody whose commits wait for no flush."""
    connection = await asyncpg.connect(url, server_settings={"synchronous_commit": "off"})
    try:
        async with connection.transaction():
            await engine.submit_in(connection, [job])
    finally:
        await connection.close()


def _crash(server: PostgresServer) -> None:
    server.stop(signal.SIGQUIT)
    server.start()


@pytest.mark.slow
async def test_what_was_left_unflushed_is_gone_after_a_crash(lazy: PostgresServer) -> None:
    """So the tests below show what they seem to show."""
    url, job = await new_database(lazy.address), new_job()
    async with PostgresEngine(url) as engine:
        await _left_unflushed(engine, url, job)
        _crash(lazy)
    async with PostgresEngine(url) as engine:
        assert await engine.get([job.id]) == [None]


@pytest.mark.slow
async def test_an_acknowledged_job_survives_a_crash_in_the_same_moment(lazy: PostgresServer) -> None:
    url, job = await new_database(lazy.address), new_job()
    async with PostgresEngine(url) as engine:
        await engine.submit([job])
        _crash(lazy)
    async with PostgresEngine(url) as engine:
        assert [job is not None for job in await engine.get([job.id])] == [True]


async def _replay(engine: PostgresEngine, job: NewJob) -> None:
    again = new_job(user_id=job.spec.user_id, idempotency_key=job.spec.idempotency_key)
    (receipt,) = await engine.submit([again])
    assert (receipt.submission, receipt.job_id) == (Submission.REPLAYED, job.id)


async def _look_up(engine: PostgresEngine, job: NewJob) -> None:
    assert await engine.known([(job.spec.user_id, "key")]) == [(job.id, job.spec.fingerprint)]


async def _follow(engine: PostgresEngine, job: NewJob) -> None:
    assert [entry.job_id for entry in (await engine.events("1-0-0")).entries] == [job.id]


async def _claim(engine: PostgresEngine, job: NewJob) -> None:
    assert [lease.job.id for lease in (await engine.claim(request(), nonce())).leases] == [job.id]


@pytest.mark.slow
@pytest.mark.parametrize("tell", [_replay, _look_up, _follow, _claim])
async def test_a_job_that_anybody_was_told_of_survives_a_crash(
    lazy: PostgresServer, tell: Callable[[PostgresEngine, NewJob], Awaitable[None]]
) -> None:
    url, job = await new_database(lazy.address), new_job(idempotency_key="key")
    async with PostgresEngine(url) as engine:
        await _left_unflushed(engine, url, job)
        await tell(engine, job)
        _crash(lazy)
    async with PostgresEngine(url) as engine:
        assert [job is not None for job in await engine.get([job.id])] == [True]
