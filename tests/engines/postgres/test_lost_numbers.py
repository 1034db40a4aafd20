"""A store that lost its newest lines and terms, as by a failover: what a process remembers of them harms nothing."""

import asyncpg
import pytest

from tests.conformance.build import claim, lane, new_job, nonce, request, seconds, submit, turns
from tests.conformance.harness import Harness
from tests.conformance.postgres_store import database_of
from tests.engines.postgres.test_submit_in import customer, engine_of
from tests.servers.postgres import execute
from tidegate.core.job import Ending, NewJob, Retention, Succeed
from tidegate.core.verbs import Submission
from tidegate.errors import EngineUnavailable

KEPT = Retention(succeeded=seconds(777))


def _job(*, delay: float = 0, queue: str = "lost") -> NewJob:
    return new_job(lane=lane(queue=queue), retention=KEPT, delay=seconds(delay))


async def _met(harness: Harness) -> None:
    """Let the process remember: the second job finds the line that the first one made."""
    await submit(harness, _job())
    await submit(harness, _job())


async def _lose(harness: Harness, *tables: str) -> None:
    await execute(database_of(harness), *(f"DELETE FROM tidegate.{table}" for table in tables))


async def _claimed(harness: Harness, queue: str) -> list[str]:
    leases = (await harness.engine.claim(request(turns=turns(queue)), nonce())).leases
    return [lease.job.id for lease in leases if lease.job.spec.lane.queue == queue]


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("lost", [("lines",), ("terms",), ("lines", "terms")])
async def test_the_next_job_is_refused_once_and_then_stands_in_its_own_line(
    harness: Harness, lost: tuple[str, ...], delay: float
) -> None:
    await _met(harness)
    await _lose(harness, "jobs", "specs", *lost)
    job = _job(delay=delay)
    with pytest.raises(EngineUnavailable, match="try again"):
        await harness.engine.submit([job])
    await submit(harness, job)
    assert [found.id for found in await harness.engine.get([job.id]) if found] == [job.id]
    harness.clock.advance(seconds(delay))
    assert await _claimed(harness, "lost") == [job.id]


async def test_a_follow_up_is_refused_with_the_ending_and_neither_is_done(harness: Harness) -> None:
    await _met(harness)
    await submit(harness, new_job())
    await _lose(harness, "lines WHERE queue = 'lost'")
    (lease,) = (await claim(harness)).leases
    then = _job()
    ending = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed(), then=(then,))
    with pytest.raises(EngineUnavailable, match="try again"):
        await harness.engine.settle([ending])
    await harness.engine.settle([ending])
    assert await _claimed(harness, "lost") == [then.id]


async def test_a_number_that_was_lost_is_never_anothers(harness: Harness) -> None:
    async with harness.other() as other:
        await _met(harness)
        await _lose(harness, "jobs", "specs", "lines", "terms")
        await execute(database_of(harness), "ALTER TABLE tidegate.lines ALTER COLUMN made RESTART WITH 1")
        await other.submit([_job(queue="elsewhere")])
        with pytest.raises(EngineUnavailable, match="try again"):
            await harness.engine.submit([_job()])
        assert await _claimed(harness, "lost") == []


async def test_a_callers_own_transaction_outlives_the_refusal(harness: Harness) -> None:
    await _met(harness)
    await _lose(harness, "jobs", "specs", "lines", "terms")
    job = _job()
    async with customer(harness) as mine, mine.transaction():
        with pytest.raises(EngineUnavailable, match="try again"):
            await engine_of(harness).submit_in(mine, [job])
        (receipt,) = await engine_of(harness).submit_in(mine, [job])
        assert receipt.submission is Submission.CREATED
    assert await _claimed(harness, "lost") == [job.id]


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
@pytest.mark.parametrize("delay", [0, 1])
async def test_a_transaction_that_sees_no_new_line_submits_into_one(
    harness: Harness, isolation: str, delay: float
) -> None:
    connection = await asyncpg.connect(database_of(harness))
    try:
        keyed = new_job(lane=lane(queue="lost"), retention=KEPT, idempotency_key="k")
        async with connection.transaction(
            isolation="repeatable_read" if isolation == "repeatable_read" else "serializable"
        ):
            await connection.fetchval("SELECT count(*) FROM pg_class")
            job = _job(delay=delay)
            receipts = await engine_of(harness).submit_in(connection, [job, keyed])
            assert [receipt.submission for receipt in receipts] == [Submission.CREATED] * 2
    finally:
        await connection.close()
    harness.clock.advance(seconds(delay))
    assert sorted(await _claimed(harness, "lost")) == sorted([job.id, keyed.id])
