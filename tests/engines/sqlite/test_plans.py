"""Every statement that the engine executes finds its rows by an index.

The statements are those that are really executed: a trace on each connection gathers them while every verb
runs. A plan may walk what is bounded (VALUES, a JSON list, lanes, lines, gates, leases, workers), never jobs
or what hangs on them.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness, sqlite
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    Ending,
    Owner,
    Phase,
    Progress,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
)
from tidegate.core.query import JobQuery, WorkerInfo
from tidegate.core.verbs import Beat, Gate, Pace, Take
from tidegate.engines.sql.sqlite import connecting

UNBOUNDED = ("jobs", "bodies", "results", "history", "idempotency", "nonces", "grants", "documents")
EARLY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the connections that are opened from now on execute."""
    seen: list[str] = []

    def traced(connect: Callable[[Path], sqlite3.Connection]) -> Callable[[Path], sqlite3.Connection]:
        def connected(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            connection.set_trace_callback(seen.append)
            return connection

        return connected

    monkeypatch.setattr(connecting, "connect_writer", traced(connecting.connect_writer))
    monkeypatch.setattr(connecting, "connect_reader", traced(connecting.connect_reader))
    return seen


@pytest.fixture
async def harness(statements: list[str], tmp_path: Path) -> AsyncIterator[Harness]:
    """An open store whose statements are gathered."""
    async with sqlite(tmp_path) as fresh:
        yield fresh


def plans(harness_path: Path, statements: list[str]) -> dict[str, list[str]]:
    """How SQLite would execute each of them."""
    with closing(sqlite3.connect(harness_path)) as connection:
        return {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
            for sql in dict.fromkeys(statements)
            if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")
        }


def walks(plan: list[str]) -> list[str]:
    """The steps of a plan that go through a whole table, or sort what no index sorted."""
    tables = "|".join(UNBOUNDED)
    walk = re.compile(rf"SCAN ({tables})\b(?! USING INDEX jobs_cancelling)|AUTOMATIC")
    return [step for step in plan if walk.search(step)]


async def drive(harness: Harness) -> None:
    """Call every verb but `find`, with something to do for each."""
    engine = harness.engine
    await build.set_gates(harness, Gate(name="queue:default", limit=90, pace=Pace(period=seconds(0.001), burst=90)))
    jobs = [new_job(idempotency_key=f"k{n}", expires_at=harness.clock.now() + seconds(60)) for n in range(9)]
    ids = await build.submit(harness, *jobs)
    await engine.submit([*jobs[:2], new_job(delay=seconds(1)), new_job(idempotency_key="k1", fingerprint="other")])
    harness.advance(2)
    nonce = build.nonce()
    leases = (await build.claim(harness, nonce, limit=7)).leases
    await build.claim(harness, nonce, limit=7)
    await engine.renew([Beat(lease.job.id, lease.token, Progress(fraction=0.5)) for lease in leases], seconds(20))
    failure, later = build.failure(), timedelta(seconds=1)
    settlements: tuple[Settlement, ...] = (
        Succeed(result=b"1"),
        Retry(delay=timedelta(0), failure=failure),
        Defer(delay=later, refund=Refund.CRASH),
        Bury(failure=failure),
        Cancel(),
    )
    for lease, settlement in zip(leases, settlements, strict=False):
        ending = Ending(job_id=lease.job.id, token=lease.token, settlement=settlement, then=(new_job(),))
        await engine.settle([ending])
    await engine.cancel([ids[-1], leases[5].job.id], build.nonce())
    await build.claim(harness, limit=0)
    await build.reclaim(harness, dead=(build.WORKER,), only=(leases[5].job.id,))
    await build.reclaim(harness, dead=(build.WORKER,))
    await engine.revive([leases[3].job.id, leases[4].job.id], build.nonce())
    await engine.dismiss([leases[3].job.id])
    harness.advance(70)
    await build.claim(harness)
    await build.reclaim(harness)
    harness.advance(90_000 * 3)
    assert await engine.prune(10)


async def look(harness: Harness) -> None:
    """Read, count and announce."""
    engine = harness.engine
    ids = await build.submit(harness, *(new_job() for _ in range(3)))
    await engine.get(ids)
    await engine.bodies(ids)
    await engine.known([("ada", "k1")])
    await engine.history(ids[0])
    await engine.events(None)
    await engine.events("0")
    await engine.stats()
    takes = [Take(key="a", n=2, limit=3, window=seconds(60))]
    nonce = build.nonce()
    await engine.take(takes, nonce)
    await engine.take(takes, build.nonce())
    await engine.give_back(nonce)
    await engine.load("upstream", ["one"])
    await engine.scan("upstream")
    worker = WorkerInfo(owner=Owner("w"), host="h", pid=1, started_at=EARLY, version="1", slots=1)
    await engine.announce(worker, seconds(5))
    await engine.workers()
    await engine.holders()


async def test_no_verb_walks_through_jobs(harness: Harness, statements: list[str], tmp_path: Path) -> None:
    opening = len(statements)
    await drive(harness)
    await look(harness)
    found = plans(tmp_path / "jobs.db", statements[opening:])
    assert len(found) > 60, "the trace saw the statements"
    assert {sql: walks(plan) for sql, plan in found.items() if walks(plan)} == {}


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(),
        JobQuery(after=5, tag="x"),
        JobQuery(status=Status.QUEUED, type="work", error_text="x"),
        JobQuery(status=Status.RUNNING),
        JobQuery(phase=Phase.READY),
        JobQuery(phase=Phase.DEAD_LETTER, offset=3),
        JobQuery(user_id="ada", status=Status.FAILED, tag="x"),
        JobQuery(user_id="ada", created_from=EARLY, created_before=EARLY + timedelta(days=1)),
    ],
)
async def test_a_search_examines_a_bounded_part_of_one_index(
    query: JobQuery, harness: Harness, statements: list[str], tmp_path: Path
) -> None:
    await build.submit(harness, *(new_job() for _ in range(9)))
    await build.claim(harness, limit=4)
    before = len(statements)
    await harness.engine.find(query)
    for sql, plan in plans(tmp_path / "jobs.db", statements[before:]).items():
        assert not walks(plan) or "LIMIT 10" in sql, f"{sql}\n{plan}"
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan, f"{sql}\n{plan}"


async def test_a_search_for_a_user_or_a_status_uses_their_index(
    harness: Harness, statements: list[str], tmp_path: Path
) -> None:
    await harness.engine.find(JobQuery(user_id="ada"))
    await harness.engine.find(JobQuery(status=Status.FAILED))
    text = str(plans(tmp_path / "jobs.db", statements))
    assert "jobs_of_user (user_id=?)" in text
    assert "jobs_of_status (status=?)" in text
