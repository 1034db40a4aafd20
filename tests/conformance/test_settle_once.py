"""Clauses of `JobQueue.settle`: who may end a run, and that it ends once."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conformance import build
from tests.conformance.build import WORKER, fresh_id, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import (
    Bury,
    Cancel,
    Defer,
    Ending,
    JobId,
    NewJob,
    Refund,
    Retry,
    Settlement,
    Status,
    Succeed,
    Token,
)
from tidegate.core.verbs import Beat, Renewal, Settled

APPLIED, CANCELLING, LOST = Settled.APPLIED, Settled.CANCELLING, Settled.LOST
AGAIN = Retry(delay=seconds(0), failure=build.failure())
LATER = Retry(delay=seconds(99), failure=build.failure())
DEFER = Defer(delay=seconds(99), refund=Refund.CRASH)
BURY = Bury(failure=build.failure())
KINDS: list[Settlement] = [Succeed(result=b"r"), LATER, DEFER, BURY, Cancel()]


async def _seen(harness: Harness, job_id: JobId) -> object:
    """All that a reader can see of a job."""
    engine = harness.engine
    return await engine.get([job_id]), await engine.bodies([job_id]), await engine.history(job_id)


async def _exists(harness: Harness, *jobs: NewJob) -> list[bool]:
    return [job is not None for job in await harness.engine.get([new.id for new in jobs])]


# whose token -----------------------------------------------------------------------------------------------

Case = tuple[JobId, Token]


async def _made_up(harness: Harness) -> Case:
    return (await build.start(harness)).job.id, Token(build.nonce() + ".0")


async def _of_another_job(harness: Harness) -> Case:
    await build.submit(harness, new_job(), new_job())
    first, second = (await build.claim(harness)).leases
    return first.job.id, second.token


async def _of_the_run_before_the_last(harness: Harness) -> Case:
    first = await build.start(harness)
    await build.end(harness, first, AGAIN)
    await build.end(harness, await build.claim_one(harness), AGAIN)
    await build.claim_one(harness)
    return first.job.id, first.token


async def _reclaimed(harness: Harness) -> Case:
    lease = await build.start(harness)
    await build.reclaim_one(harness, dead=(WORKER,))
    return lease.job.id, lease.token


async def _reclaimed_and_ended(harness: Harness) -> Case:
    lease = await build.start(harness)
    await build.end(harness, (await build.reclaim_one(harness, dead=(WORKER,))).lease, BURY)
    return lease.job.id, lease.token


async def _reclaimed_and_claimed_again(harness: Harness) -> Case:
    lease = await build.start(harness)
    await build.end(harness, (await build.reclaim_one(harness, dead=(WORKER,))).lease, AGAIN)
    await build.claim_one(harness)
    return lease.job.id, lease.token


async def _of_a_job_never_claimed(harness: Harness) -> Case:
    return await build.submit_one(harness), Token("")


async def _of_a_job_cancelled_in_the_queue(harness: Harness) -> Case:
    job_id = await build.submit_one(harness)
    await build.cancel(harness, job_id)
    return job_id, Token("")


STALE = [
    _made_up,
    _of_another_job,
    _of_the_run_before_the_last,
    _reclaimed,
    _reclaimed_and_ended,
    _reclaimed_and_claimed_again,
    _of_a_job_never_claimed,
    _of_a_job_cancelled_in_the_queue,
]


@promise("settle.fenced", "settle.then")
@pytest.mark.parametrize("settlement", KINDS)
@pytest.mark.parametrize("meet", STALE)
async def test_a_token_that_is_not_current_ends_nothing(
    harness: Harness, meet: Callable[[Harness], Awaitable[Case]], settlement: Settlement
) -> None:
    job_id, token = await meet(harness)
    before, follow_up = await _seen(harness, job_id), new_job()
    ending = Ending(job_id=job_id, token=token, settlement=settlement, then=(follow_up,))
    assert await harness.engine.settle([ending]) == [LOST]
    assert await _seen(harness, job_id) == before
    assert await _exists(harness, follow_up) == [False]


@promise("settle.fenced")
async def test_the_token_of_no_job_is_lost(harness: Harness) -> None:
    ending = Ending(job_id=fresh_id(), token=Token(build.nonce() + ".0"), settlement=Succeed())
    assert await harness.engine.settle([ending]) == [LOST]


@promise("settle.late")
@pytest.mark.parametrize("settlement", KINDS)
async def test_a_run_may_end_after_its_lease_as_long_as_nobody_took_it(
    harness: Harness, settlement: Settlement
) -> None:
    lease = await build.start(harness)
    harness.clock.advance(100 * build.LEASE)
    await build.end(harness, lease, settlement)
    assert await build.reclaim(harness) == []


# repeats ---------------------------------------------------------------------------------------------------


@promise("settle.repeat", "settle.then")
@pytest.mark.parametrize("again", KINDS)
@pytest.mark.parametrize("first", KINDS)
async def test_a_repeat_of_an_ending_changes_nothing_whatever_it_says(
    harness: Harness, first: Settlement, again: Settlement
) -> None:
    lease, follow_ups = await build.start(harness), [new_job(), new_job()]
    await build.end(harness, lease, first, follow_ups[0])
    before = await _seen(harness, lease.job.id)
    harness.advance(5)
    assert await build.settle(harness, lease, again, *follow_ups) is APPLIED
    assert await _seen(harness, lease.job.id) == before
    assert await _exists(harness, *follow_ups) == [True, False]


@promise("settle.repeat")
async def test_twins_of_an_ending_in_one_batch_end_the_run_once(harness: Harness) -> None:
    lease = await build.start(harness)
    twin = Ending(job_id=lease.job.id, token=lease.token, settlement=DEFER)
    assert await harness.engine.settle([twin, twin]) == [APPLIED, APPLIED]
    assert (await build.job(harness, lease.job.id)).counters.crashes == 1


@promise("settle.repeat")
@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_repeat_leaves_the_newer_run_alone(harness: Harness, cancelled: bool) -> None:
    first = await build.start(harness)
    await build.end(harness, first, AGAIN)
    second = await build.claim_one(harness)
    if cancelled:
        await build.cancel(harness, first.job.id)
    before = await _seen(harness, first.job.id)
    assert await build.settle(harness, first, Succeed()) is APPLIED
    assert await _seen(harness, first.job.id) == before
    held = Renewal.CANCELLING if cancelled else Renewal.HELD
    assert await harness.engine.renew([Beat(second.job.id, second.token)], build.LEASE) == [held]
    await build.end(harness, second, Cancel())
    assert await build.settle(harness, second, Succeed()) is APPLIED
    assert await build.settle(harness, first, Succeed()) is LOST, "it is no longer the newest that ended"


@promise("settle.repeat")
async def test_a_repeat_leaves_alone_what_became_of_the_job_since(harness: Harness) -> None:
    lease = await build.start(harness)
    await build.end(harness, lease, LATER)
    await build.cancel(harness, lease.job.id)
    assert await build.settle(harness, lease, LATER) is APPLIED
    assert (await build.job(harness, lease.job.id)).status is Status.CANCELLED
    await harness.engine.revive([lease.job.id], build.nonce())
    before = await _seen(harness, lease.job.id)
    assert await build.settle(harness, lease, BURY) is APPLIED
    assert await _seen(harness, lease.job.id) == before


@promise("settle.repeat")
async def test_a_reapers_ending_may_be_repeated_too(harness: Harness) -> None:
    await build.start(harness)
    taken = await build.reclaim_one(harness, dead=(WORKER,))
    await build.end(harness, taken.lease, BURY)
    assert await build.settle(harness, taken.lease, BURY) is APPLIED


# cancelling ------------------------------------------------------------------------------------------------


@promise("settle.cancelling", "settle.then")
@pytest.mark.parametrize("settlement", KINDS[:-1])
async def test_once_a_cancel_was_requested_the_run_ends_as_cancelled_or_not_at_all(
    harness: Harness, settlement: Settlement
) -> None:
    lease, follow_up = await build.start(harness), new_job()
    await build.cancel(harness, lease.job.id)
    before = await _seen(harness, lease.job.id)
    assert await build.settle(harness, lease, settlement, follow_up) is CANCELLING
    assert await _seen(harness, lease.job.id) == before
    assert await _exists(harness, follow_up) == [False]
    await build.end(harness, lease, Cancel(), follow_up)
    assert (await build.job(harness, lease.job.id)).status is Status.CANCELLED
    assert await _exists(harness, follow_up) == [True]


@promise("settle.cancelling", "settle.fenced")
async def test_a_stale_token_is_lost_also_where_a_cancel_was_requested(harness: Harness) -> None:
    lease = await build.start(harness)
    taken = await build.reclaim_one(harness, dead=(WORKER,))
    await build.cancel(harness, lease.job.id)
    assert await build.settle(harness, lease, Cancel()) is LOST
    assert await build.settle(harness, taken.lease, BURY) is CANCELLING
    await build.end(harness, taken.lease, Cancel())
