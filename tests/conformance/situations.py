"""Where a job may stand, and all that a store shows of it."""

from datetime import timedelta

from tests.conformance.build import (
    failure,
    finish,
    lane,
    new_job,
    nonce,
    seconds,
    set_gates,
    settle,
    start,
    submit,
    submit_one,
)
from tests.conformance.harness import Harness
from tidegate.core.job import Body, Bury, Cancel, Job, JobId, Retry, Settlement, Status, Succeed
from tidegate.core.query import HistoryEntry
from tidegate.core.verbs import Gate, Revival

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ENDINGS: list[Settlement] = [Succeed(), Bury(failure=failure()), Cancel()]

Seen = tuple[Job | None, Body | None, list[HistoryEntry]]


async def seen(harness: Harness, job_id: JobId) -> Seen:
    """All that a store shows of one job."""
    (found,), (body,) = await harness.engine.get([job_id]), await harness.engine.bodies([job_id])
    return found, body, await harness.engine.history(job_id)


async def revive(harness: Harness, *job_ids: JobId) -> list[Revival]:
    """Revive jobs, with a fresh nonce; the answers."""
    return await harness.engine.revive(job_ids, nonce())


async def scheduled(harness: Harness) -> JobId:
    """A job that is due in an hour."""
    (later,) = await submit(harness, new_job(delay=HOUR))
    return later


async def retrying(harness: Harness) -> JobId:
    """A job whose retry is due in an hour."""
    lease = await start(harness)
    await settle(harness, lease, Retry(delay=HOUR, failure=failure()))
    return lease.job.id


async def parked(harness: Harness) -> JobId:
    """A job behind a closed gate."""
    await set_gates(harness, Gate(name="upstream:shut", not_before=harness.clock.now() + HOUR))
    return await submit_one(harness, lane=lane("shut"))


async def waited_too_long(harness: Harness) -> JobId:
    """A job past its `expires_at` that nobody has noticed."""
    late = await submit_one(harness, expires_at=harness.clock.now() + seconds(5))
    harness.advance(6)
    return late


async def of_each_status(harness: Harness) -> dict[Status, JobId]:
    """One job of every stored status; the queued one can't be claimed yet."""
    return {
        Status.QUEUED: await scheduled(harness),
        Status.SUCCEEDED: await finish(harness, Succeed()),
        Status.FAILED: await finish(harness, Bury(failure=failure())),
        Status.CANCELLED: await finish(harness, Cancel()),
        Status.RUNNING: (await start(harness)).job.id,
    }
