"""A server that goes away, stands still or loses connections: nothing is lost, and the engine finds it again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tests.conformance.build import LEASE, lane, new_job, nonce, request, turns
from tests.faults.tcp_proxy import TcpProxy, tcp_proxy
from tests.servers.postgres import PostgresServer, execute, new_database, port_of
from tidegate.core.job import Ending, JobId, Lease, NewJob, Status, Succeed
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Beat, Renewal, Settled, Submission
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.errors import EngineUnavailable

PATIENCE = 20
"""Seconds that an engine may take to find its server again, on a busy machine."""


async def _until_answered(engine: PostgresEngine) -> float:
    """Seconds until the store answers again."""
    began = time.monotonic()
    while True:
        try:
            await engine.check()
        except EngineUnavailable:
            assert time.monotonic() - began < PATIENCE
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began


class Crew:
    """Submits, claims, renews and ends jobs, and repeats every call whose outcome it doesn't know."""

    def __init__(self, engine: PostgresEngine) -> None:
        self.engine = engine
        self.stopped = asyncio.Event()
        self.accepted: list[JobId] = []
        self.ended: list[JobId] = []
        self.unknown = 0

    async def submit(self) -> None:
        """Submit until stopped."""
        while not self.stopped.is_set():
            jobs = [new_job() for _ in range(3)]
            for receipt in await self._submit(jobs):
                assert receipt in (Submission.CREATED, Submission.REPLAYED)
            self.accepted += [job.id for job in jobs]
            await asyncio.sleep(0.01)

    async def _submit(self, jobs: list[NewJob]) -> list[Submission]:
        while True:
            try:
                return [receipt.submission for receipt in await self.engine.submit(jobs)]
            except EngineUnavailable:
                await self._pause()

    async def work(self) -> None:
        """Claim and end until stopped and nothing is left."""
        while not self.stopped.is_set() or set(self.accepted) - set(self.ended):
            for lease in await self._claim(nonce()):
                await self._end(lease)
            await asyncio.sleep(0.01)

    async def _claim(self, name: str) -> tuple[Lease, ...]:
        while True:
            try:
                return (await self.engine.claim(request(limit=5), name)).leases
            except EngineUnavailable:
                await self._pause()

    async def _end(self, lease: Lease) -> None:
        ending = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed())
        while True:
            try:
                assert await self.engine.renew([Beat(lease.job.id, lease.token)], LEASE) in (
                    [Renewal.HELD],
                    [Renewal.LOST],
                )
                assert await self.engine.settle([ending]) == [Settled.APPLIED]
            except EngineUnavailable:
                await self._pause()
            else:
                self.ended.append(lease.job.id)
                return

    async def _pause(self) -> None:
        self.unknown += 1
        await asyncio.sleep(0.05)


@asynccontextmanager
async def at_work(engine: PostgresEngine) -> AsyncIterator[Crew]:
    """A crew at work; afterwards every accepted job has ended, and each of them once."""
    crew = Crew(engine)
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for duty in (crew.submit, crew.submit, crew.work, crew.work, crew.work):
            group.create_task(duty())
        await asyncio.sleep(0.5)
        yield crew
        await asyncio.sleep(0.5)
        crew.stopped.set()
    assert sorted(crew.ended) == sorted(crew.accepted)
    assert len(set(crew.ended)) == len(crew.ended) > 20
    for job in await engine.get(crew.accepted):
        assert job is not None
        assert (job.status, job.counters.runs) == (Status.SUCCEEDED, 1)
    assert (await engine.find(JobQuery(status=Status.QUEUED))).jobs == ()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_a_restart_in_the_middle_of_the_work_loses_and_doubles_nothing(
    server: PostgresServer, how: signal.Signals
) -> None:
    async with PostgresEngine(await new_database(server.address)) as engine, at_work(engine) as crew:
        for _ in range(3):
            await asyncio.to_thread(server.stop, how)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
            assert await _until_answered(engine) < 5
            await asyncio.sleep(0.3)
        assert crew.unknown, "the outage was felt"


@pytest.mark.slow
async def test_a_server_that_stands_still_is_noticed_and_found_again(server: PostgresServer) -> None:
    async with PostgresEngine(f"{await new_database(server.address)}?timeout=1") as engine, at_work(engine) as crew:
        with server.frozen():
            began = time.monotonic()
            with pytest.raises(EngineUnavailable):
                await engine.check()
            assert time.monotonic() - began < 5
            await asyncio.sleep(3)
        assert await _until_answered(engine) < 5
        assert crew.unknown


@pytest.mark.slow
async def test_connections_that_are_cut_in_the_middle_of_the_work_lose_nothing(server: PostgresServer) -> None:
    database = await new_database(server.address)
    async with tcp_proxy(server.port) as proxy, PostgresEngine(_through(proxy, database)) as engine, at_work(engine):
        for _ in range(20):
            proxy.cut()
            await asyncio.sleep(0.05)


def _through(proxy: TcpProxy, database: str) -> str:
    return database.replace(f":{port_of(database)}", f":{proxy.port}")


async def test_a_network_that_drops_all_packets_fails_a_call_in_time(database: str) -> None:
    async with (
        tcp_proxy(port_of(database)) as proxy,
        PostgresEngine(f"{_through(proxy, database)}?timeout=1") as engine,
    ):
        await asyncio.gather(*(engine.check() for _ in range(5)))
        proxy.hold()
        began = time.monotonic()
        refusals = await asyncio.gather(*(engine.check() for _ in range(30)), return_exceptions=True)
        assert time.monotonic() - began < 6
        assert {type(refusal) for refusal in refusals} == {EngineUnavailable}
        proxy.release()
        assert await _until_answered(engine) < 5


async def test_sessions_that_an_administrator_ends_are_replaced_at_once(database: str) -> None:
    async with PostgresEngine(database) as engine:
        await asyncio.gather(*(engine.submit([new_job()]) for _ in range(5)))
        await _end_sessions(database, "true")
        await _until_answered(engine)
        assert len((await engine.claim(request(), nonce())).leases) == 5


async def _end_sessions(database: str, which: str) -> int:
    mine = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    rows = await execute(database, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine} AND {which}")
    return len(rows)


async def _woken(by: PostgresEngine, waiting: PostgresEngine, timeout: float) -> float:
    """Seconds until a submit by one engine ends the other's wait."""
    waiter = asyncio.create_task(waiting.wait(["queue:default"], timedelta(seconds=timeout)))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await by.submit([new_job()])
    await waiter
    return time.monotonic() - began


async def test_a_submit_of_one_engine_ends_the_wait_of_another(database: str) -> None:
    async with PostgresEngine(database) as one, PostgresEngine(database) as other:
        await asyncio.sleep(0.3)
        assert await _woken(one, other, 30) < 5
        assert await _woken(other, one, 30) < 5


async def test_an_engine_hears_again_after_its_ear_was_cut_off(database: str) -> None:
    async with PostgresEngine(database) as one, PostgresEngine(database) as other:
        await asyncio.sleep(0.3)
        assert await _end_sessions(database, "query LIKE 'LISTEN%'") == 2
        await asyncio.sleep(2)
        assert await _woken(one, other, 30) < 5


async def test_who_waits_while_the_ear_is_cut_off_is_woken_once_it_hears_again(database: str) -> None:
    async with PostgresEngine(database) as one, PostgresEngine(database) as other:
        await asyncio.sleep(0.3)
        await other.wait(["queue:default"], timedelta(seconds=0.1))
        waiter = asyncio.create_task(other.wait(["queue:default"], timedelta(seconds=30)))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await _end_sessions(database, "query LIKE 'LISTEN%'")
        await one.submit([new_job()])
        await waiter
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("queue", ["q" * 8_200, "\x01" * 3_000])
async def test_a_queue_whose_name_fits_no_hint_takes_their_hints_from_no_others(database: str, queue: str) -> None:
    async with PostgresEngine(database) as one, PostgresEngine(database) as other:
        await asyncio.sleep(0.3)
        first, second = new_job(lane=lane(queue=queue)), new_job(lane=lane(queue=queue))
        await one.submit([first])
        (lease,) = (await one.claim(request(turns=turns(queue)), nonce())).leases
        await one.settle([Ending(job_id=first.id, token=lease.token, settlement=Succeed(), then=(second,))])
        await asyncio.sleep(0.2)
        assert await _woken(one, other, 30) < 10


async def test_no_more_connections_than_the_url_allows(database: str) -> None:
    async with PostgresEngine(f"{database}?pool=3") as engine:
        await asyncio.gather(*(engine.submit([new_job()]) for _ in range(50)))
        ((sessions,),) = await execute(
            database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidegate'"
        )
        assert sessions <= 4, "one more listens"


async def test_a_server_without_a_free_connection_is_unavailable(server: PostgresServer) -> None:
    database = await new_database(server.address)
    async with PostgresEngine(f"{database}?pool=100") as engine:
        asked = (engine.submit([new_job()]) for _ in range(300))
        refusals = [fate for fate in await asyncio.gather(*asked, return_exceptions=True) if not isinstance(fate, list)]
        assert {type(refusal) for refusal in refusals} <= {EngineUnavailable}
        await engine.check()
