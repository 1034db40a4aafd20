"""What the clauses of `reclaim` share: runs and waits that somebody may take over."""

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tidegate.core.job import JobId, Lease, Owner
from tidegate.core.verbs import Reclaimed

SECOND_REAPER = Owner("reaper-2")


def ids(taken: list[Reclaimed]) -> list[JobId]:
    """The jobs taken."""
    return [one.lease.job.id for one in taken]


async def running(harness: Harness, count: int) -> list[Lease]:
    """Leases of so many jobs, all claimed by the usual worker."""
    await build.submit(harness, *(new_job() for _ in range(count)))
    return list((await build.claim(harness)).leases)


async def waiting(harness: Harness, *, expires_in: float = 10, delay: float = 0) -> JobId:
    """A queued job that may wait no longer after `expires_in` seconds."""
    expires_at = harness.clock.now() + seconds(expires_in)
    (job_id,) = await build.submit(harness, new_job(expires_at=expires_at, delay=seconds(delay)))
    return job_id
