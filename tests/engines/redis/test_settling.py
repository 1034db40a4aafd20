"""Runs that succeed at once end by a shorter way than others: what is told of them is the same."""

from typing import TypeAlias

from tests.conformance import build
from tests.conformance.build import new_job, nonce
from tests.engines.redis.stores import fresh_url, opened
from tests.servers.valkey import Valkey
from tidegate.clock import FakeClock
from tidegate.core.job import Body, Ending, Job, NewJob, Succeed
from tidegate.core.query import HistoryEntry
from tidegate.core.verbs import Settled
from tidegate.engines.memory import MemoryEngine
from tidegate.ports import Engine

Told: TypeAlias = tuple[list[Job | None], list[Body | None], list[list[HistoryEntry]]]

SUCCESSES = (
    Succeed(),
    Succeed(result=b"r" * 100, result_path="p", served_by="s"),
    Succeed(result=b"r" * 9_000),
    Succeed(result=b"{}", degraded=True),
)


async def _told(engine: Engine, clock: FakeClock, jobs: list[NewJob], nonces: list[str]) -> Told:
    """What is known of jobs that were claimed by turns and ended well together, one of them twice."""
    await engine.submit(jobs)
    endings: list[Ending] = []
    for one in nonces:
        clock.advance(build.seconds(1))
        leases = (await engine.claim(build.request(limit=2), one)).leases
        endings += [Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed()) for lease in leases]
    clock.advance(build.seconds(1))
    wells = [Ending(job_id=x.job_id, token=x.token, settlement=SUCCESSES[n % 4]) for n, x in enumerate(endings)]
    assert await engine.settle([*wells, wells[0]]) == [Settled.APPLIED] * (len(wells) + 1)
    ids = [job.id for job in jobs]
    return await engine.get(ids), await engine.bodies(ids), [await engine.history(job_id) for job_id in ids]


async def test_what_is_told_of_a_success_is_what_the_memory_engine_tells(server: Valkey) -> None:
    nonces = [nonce() for _ in range(5)]
    jobs = [
        new_job(
            user_id=f"u{number % 3}",
            idempotency_key=f"k{number}" if number % 2 else None,
            timeout=build.seconds(10 + 90 * (number % 2)),
            request_id="q" * number,
            payload=b"p" * (9_000 if number == 7 else number),
        )
        for number in range(9)
    ]
    async with opened(fresh_url(server)) as harness:
        found = await _told(harness.engine, harness.clock, jobs, nonces)
    clock = FakeClock()
    async with MemoryEngine(clock) as engine:
        wanted = await _told(engine, clock, jobs, nonces)
    assert found == wanted
