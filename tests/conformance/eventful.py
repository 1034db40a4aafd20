"""A job that has been through everything."""

from datetime import timedelta

from tests.conformance.build import cancel, claim_one, failure, new_job, nonce, reclaim_one, seconds, settle, submit
from tests.conformance.harness import Harness
from tidegate.core.job import Bury, Cancel, Defer, JobId, Refund, Retry


async def eventful(harness: Harness) -> JobId:
    """A job that took every kind of step, a second between them."""
    (job_id,) = await submit(harness, new_job(expires_at=harness.clock.now() + seconds(60)))
    harness.advance(1)
    crash = Defer(delay=timedelta(0), refund=Refund.CRASH)
    for settlement in (Retry(delay=timedelta(0), failure=failure("flaky")), crash):
        lease = await claim_one(harness)
        harness.advance(1)
        await settle(harness, lease, settlement)
    harness.advance(60)
    taken = await reclaim_one(harness)
    harness.advance(1)
    await settle(harness, taken.lease, Bury(failure=failure("expired")))
    await harness.engine.dismiss([job_id])
    await harness.engine.revive([job_id], nonce())
    harness.advance(1)
    lease = await claim_one(harness)
    await cancel(harness, job_id)
    harness.advance(1)
    await settle(harness, lease, Cancel(note="stopped"))
    return job_id
