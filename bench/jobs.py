"""Jobs and stores for measuring: as an application makes them, with full tracking."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from bench.stores import empty
from tidegate.clock import token
from tidegate.core.fairness import Turn
from tidegate.core.job import Ending, Lane, NewJob, Owner, Spec, Succeed
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines import open_engine
from tidegate.ports import Engine
from tidegate.wiring import new_job_id

PAYLOAD = b"{}"
LEASE = timedelta(seconds=60)
OWNER = Owner("bench")


@asynccontextmanager
async def fresh(url: str) -> AsyncIterator[Engine]:
    """A new, empty store at `url`, open; see `stores.empty`."""
    async with empty(url) as own, open_engine(own) as engine:
        yield engine


def job(
    *, user: str = "ada", lane: Lane | None = None, delay: timedelta = timedelta(0), job_type: str = "noop"
) -> NewJob:
    """A job with an empty payload."""
    spec = Spec(type=job_type, user_id=user, lane=lane or Lane())
    return NewJob(id=new_job_id(), spec=spec, payload=PAYLOAD, delay=delay)


async def claim(engine: Engine, limit: int) -> Claimed:
    """Claim as a worker does, from the default queue."""
    request = ClaimRequest(
        owner=OWNER,
        turns=(Turn(queue="default", quota=limit),),
        types=frozenset({"noop"}),
        limit=limit,
        lease_for=LEASE,
    )
    return await engine.claim(request, token())


async def settle(engine: Engine, claimed: Claimed) -> None:
    """End all leases well."""
    await engine.settle(
        [Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed()) for lease in claimed.leases]
    )


async def fill(engine: Engine, make: Callable[[int], NewJob], count: int) -> None:
    """Submit `count` jobs in bulk."""
    for start in range(0, count, 1_000):
        await engine.submit([make(n) for n in range(start, min(start + 1_000, count))])
