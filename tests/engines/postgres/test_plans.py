"""Every statement finds its rows by an index, and meets few of them, however many jobs there are.

The plans are those that the server really executed, inside of functions too. A step may walk through what is bounded
(lines, gates, terms, workers, versions), never through jobs or what hangs on them, nor sort the backlog.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final

import pytest

from tests.conformance import build
from tests.conformance.build import LEASE, REAPER, WORKER, new_job, nonce, reclaim_request, request
from tests.engines.postgres.plans import SETTINGS, Step, steps
from tests.servers.postgres import PostgresServer, execute, new_database, running
from tidegate.clock import FakeClock
from tidegate.core.job import Bury, Ending, JobId, Owner, Phase, Retry, Settlement, Status, Succeed
from tidegate.core.query import JobQuery, WorkerInfo
from tidegate.core.verbs import Beat, Gate, Pace, Swap, Take
from tidegate.engines.sql.codec import stamp
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.ports import Engine

UNBOUNDED: Final = ("jobs", "specs", "history", "idempotency", "nonces", "grants", "documents", "lease_gates")
BACKLOG: Final = 12_000
FEW: Final = 3_000
"""More rows than any one call has a reason to meet; a claim promotes 1,000 at a time."""


class Full:
    """A store with a long backlog, many finished jobs, leases and grants; its server writes down its plans."""

    def __init__(self, server: PostgresServer, url: str, clock: FakeClock) -> None:
        self.server = server
        self.url = url
        self.clock = clock
        self.ids: list[JobId] = []

    async def watch(self, act: Callable[[Engine], Awaitable[object]]) -> list[Step]:
        """The steps of the plans of what `act` does."""
        async with PostgresEngine(self.url, self.clock) as engine:
            await engine.check()
            since = len(self.server.log())
            await act(engine)
        return steps(self.server, since)


@pytest.fixture(scope="module")
def full() -> Iterator[Full]:
    """The store; tests leave it as full as they found it."""
    with running(settings=SETTINGS) as server, closing(asyncio.new_event_loop()) as loop:
        yield loop.run_until_complete(_filled(server))


async def _filled(server: PostgresServer) -> Full:
    full = Full(server, await new_database(server.address), FakeClock())
    async with PostgresEngine(full.url, full.clock) as engine:
        for batch in range(BACKLOG // 2_000):
            jobs = [new_job(user_id=f"u{n % 50}", type="work", tags=("t",)) for n in range(1_400)]
            jobs += [
                new_job(delay=timedelta(days=1), expires_at=full.clock.now() + timedelta(days=2)) for _ in range(300)
            ]
            jobs += [new_job(idempotency_key=f"{batch}-{n}", type="over") for n in range(300)]
            full.ids += [receipt.job_id for receipt in await engine.submit(jobs)]
            over = request(types=frozenset({"over"}), limit=300, turns=build.turns("default", quota=300))
            leases = (await engine.claim(over, nonce())).leases
            ends: list[Settlement] = [Succeed(result=b"1"), Bury(failure=build.failure())]
            endings = [
                Ending(job_id=one.job.id, token=one.token, settlement=ends[n % 2]) for n, one in enumerate(leases)
            ]
            await engine.settle(endings[:250])
    now = stamp(full.clock.now())
    papers = (
        "INSERT INTO tidegate.documents SELECT 'upstream', n::text, n, '{}', n::text FROM generate_series(1, 500) AS n"
    )
    grants = f"""INSERT INTO tidegate.grants (nonce, key, n, at, until)
        SELECT n::text, 'k' || n % 50, 1, {now}, {now} + 3600000000 FROM generate_series(1, 2000) AS n"""
    await execute(full.url, papers, grants, "VACUUM ANALYZE")
    return full


def faults(found: list[Step], few: float = FEW) -> list[Step]:
    """The steps that walk through a table without end, or meet too many rows."""
    return [step for step in found if (step.kind == "Seq Scan" and step.table in UNBOUNDED) or step.rows > few]


async def _drive(engine: Engine, full: Full) -> None:
    """Every verb that changes something, with something to do for each."""
    await engine.submit([new_job(), new_job(idempotency_key="0-1", user_id="ada"), new_job(job_id=full.ids[5])])
    await engine.submit([new_job(type="over") for _ in range(5)])
    claim = nonce()
    leases = (await engine.claim(request(limit=20), claim)).leases
    await engine.claim(request(limit=20), claim)
    await engine.renew([Beat(lease.job.id, lease.token) for lease in leases], LEASE)
    retry = Retry(delay=timedelta(0), failure=build.failure())
    ends = [Ending(job_id=lease.job.id, token=lease.token, settlement=retry, then=(new_job(),)) for lease in leases[:9]]
    await engine.settle(ends)
    await engine.settle(ends)
    await engine.cancel([leases[10].job.id, full.ids[0]], nonce())
    await engine.claim(request(limit=0), nonce())
    await engine.reclaim(reclaim_request(dead=(WORKER,), limit=5), nonce())
    await engine.reclaim(reclaim_request(only=(leases[12].job.id,), owner=REAPER), nonce())
    await engine.revive([full.ids[0]], nonce())
    await engine.dismiss([full.ids[1_701], full.ids[1_702]])
    (stored,) = await engine.load("upstream", ["one"])
    gates = (Gate(name="queue:default", limit=50, era=stored.version + 1, pace=Pace(period=timedelta(microseconds=1))),)
    told = Swap(kind="upstream", key="one", value=b"{}", expected=stored.version, nonce=nonce(), gates=gates)
    await engine.swap(told)
    await engine.claim(request(limit=3), nonce())
    await engine.prune(100)


async def test_no_verb_walks_through_jobs(full: Full) -> None:
    found = await full.watch(lambda engine: _drive(engine, full))
    assert len({step.query for step in found}) > 40, "the log shows the statements inside of functions"
    assert faults(found) == []


async def test_a_claim_of_due_and_lapsed_jobs_meets_no_more_than_it_moves(full: Full) -> None:
    async def lapse(engine: Engine) -> None:
        jobs = [new_job(type="brief", expires_at=full.clock.now() + timedelta(seconds=1)) for _ in range(20)]
        await engine.submit([*jobs, *(new_job(type="brief", delay=timedelta(seconds=2)) for _ in range(20))])
        full.clock.advance(timedelta(seconds=3))
        await engine.claim(request(types=frozenset({"brief"})), nonce())
        await engine.reclaim(reclaim_request(), nonce())

    assert faults(await full.watch(lapse)) == []


async def test_no_reader_walks_through_jobs(full: Full) -> None:
    async def look(engine: Engine) -> None:
        await engine.get(full.ids[:50])
        await engine.bodies(full.ids[:50])
        await engine.known([("ada", "0-1"), ("ada", "nobody's")])
        await engine.history(full.ids[1_705])
        cursor = (await engine.events(None)).next
        await engine.events(cursor)
        await engine.events("3-0-0", limit=100)
        takes = [Take(key="k1", n=2, limit=3, window=timedelta(hours=1))]
        await engine.take(takes, nonce())
        await engine.give_back(nonce())
        await engine.load("upstream", ["one"])
        await engine.scan("upstream")
        worker = WorkerInfo(owner=Owner("w"), host="h", pid=1, started_at=full.clock.now(), version="1", slots=1)
        await engine.announce(worker, timedelta(seconds=5))
        await engine.workers()
        await engine.holders()

    assert faults(await full.watch(look)) == []


async def test_counting_reads_indexes_alone(full: Full) -> None:
    found = await full.watch(lambda engine: engine.stats())
    assert faults(found, few=10 * BACKLOG) == []
    reads = {step.index: step.kind for step in found if step.table == "jobs"}
    assert reads["jobs_in_line"] == "Index Only Scan"
    assert reads["jobs_due"] == "Index Only Scan"
    assert reads["jobs_kept_until"] == "Index Only Scan"


EARLY: Final = datetime(2025, 1, 1, tzinfo=FakeClock().now().tzinfo)


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(after=9_000),
        JobQuery(after=9_000, tag="t"),
        JobQuery(after=9_000, status=Status.QUEUED, type="work"),
        JobQuery(status=Status.RUNNING),
        JobQuery(after=9_000, phase=Phase.READY),
        JobQuery(phase=Phase.DEAD_LETTER, offset=3),
        JobQuery(user_id="u7", status=Status.QUEUED, tag="t"),
        JobQuery(after=9_000, user_id="u7", created_from=EARLY, created_before=EARLY + timedelta(days=900)),
    ],
)
async def test_a_search_that_finds_enough_at_once_meets_few_jobs(query: JobQuery, full: Full) -> None:
    found = await full.watch(lambda engine: engine.find(query))
    assert faults(found) == []


async def test_a_search_that_finds_nothing_examines_a_bounded_part(full: Full) -> None:
    found = await full.watch(lambda engine: engine.find(JobQuery(error_text="nowhere", after=11_900)))
    assert [step for step in found if step.rows > 11_000] == []
    assert [step for step in found if step.kind == "Sort" and step.rows > FEW] == []
