"""Clauses of `JobQueue.renew`: who still holds a lease keeps it, and nobody else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import fresh_id, new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Job, JobId, Progress, Retry, Succeed, Token
from tidegate.core.verbs import Beat, Renewal

TICK = timedelta(microseconds=1)
HALF = Progress(fraction=0.5, message="half \u2713\ndone")
HELD, CANCELLING, LOST = Renewal.HELD, Renewal.CANCELLING, Renewal.LOST


async def _renew(harness: Harness, *beats: Beat, lease_for: timedelta = build.LEASE) -> list[Renewal]:
    return await harness.engine.renew(beats, lease_for)


async def _lasts(harness: Harness, duration: timedelta) -> None:
    """Prove that the only lease there is ends exactly `duration` from now."""
    harness.clock.advance(duration - TICK)
    assert await build.reclaim(harness) == []
    harness.clock.advance(TICK)
    assert len(await build.reclaim(harness)) == 1


@promise("renew.held")
@pytest.mark.parametrize("lease_for", [seconds(5), build.LEASE, seconds(300)])
async def test_a_renewed_lease_lasts_from_now_longer_or_shorter(harness: Harness, lease_for: timedelta) -> None:
    lease = await build.start(harness)
    harness.advance(20)
    assert await _renew(harness, Beat(lease.job.id, lease.token), lease_for=lease_for) == [HELD]
    await _lasts(harness, lease_for)


@promise("renew.held")
async def test_a_renewal_changes_nothing_else(harness: Harness) -> None:
    lease = await build.start(harness)
    steps = await build.steps(harness, lease.job.id)
    harness.advance(20)
    await _renew(harness, Beat(lease.job.id, lease.token))
    assert await build.job(harness, lease.job.id) == lease.job
    assert await build.steps(harness, lease.job.id) == steps
    await build.end(harness, lease, Succeed())


@promise("renew.held")
async def test_every_beat_has_its_own_answer_in_order(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(4)))
    a, b, c, d = (await build.claim(harness)).leases
    await build.end(harness, b, Succeed())
    await build.cancel(harness, c.job.id)
    harness.advance(20)
    leases = [d, b, c, a]
    answers = await _renew(harness, *(Beat(lease.job.id, lease.token) for lease in leases))
    assert answers == [HELD, LOST, CANCELLING, HELD]
    harness.advance(20)
    assert (await build.claim(harness)).overdue == 0
    assert await _renew(harness) == []


@promise("renew.cancelling")
async def test_a_cancelled_run_keeps_its_lease_and_is_told_to_stop(harness: Harness) -> None:
    lease = await build.start(harness)
    await build.cancel(harness, lease.job.id)
    harness.advance(20)
    assert await _renew(harness, Beat(lease.job.id, lease.token, HALF)) == [CANCELLING]
    assert (await build.job(harness, lease.job.id)).progress == HALF
    await _lasts(harness, build.LEASE)


Case = tuple[JobId, Token]


async def _made_up(harness: Harness) -> Case:
    lease = await build.start(harness)
    return lease.job.id, Token(build.nonce() + ".0")


async def _of_another_job(harness: Harness) -> Case:
    await build.submit(harness, new_job(), new_job())
    first, second = (await build.claim(harness)).leases
    return first.job.id, second.token


async def _of_an_earlier_run(harness: Harness) -> Case:
    first = await build.start(harness)
    await build.end(harness, first, Retry(delay=seconds(0), failure=build.failure()))
    await build.claim_one(harness)
    return first.job.id, first.token


async def _of_a_run_that_ended(harness: Harness) -> Case:
    lease = await build.start(harness)
    return await build.end(harness, lease, Succeed()), lease.token


async def _of_a_job_that_waits_for_its_next_run(harness: Harness) -> Case:
    lease = await build.start(harness)
    return await build.end(harness, lease, Retry(delay=seconds(60), failure=build.failure())), lease.token


async def _reclaimed(harness: Harness) -> Case:
    lease = await build.start(harness)
    harness.clock.advance(build.LEASE)
    await build.reclaim_one(harness)
    return lease.job.id, lease.token


async def _of_no_job(harness: Harness) -> Case:
    return fresh_id(), (await build.start(harness)).token


async def _empty(harness: Harness) -> Case:
    return await build.submit_one(harness), Token("")


STALE = [
    _made_up,
    _of_another_job,
    _of_an_earlier_run,
    _of_a_run_that_ended,
    _of_a_job_that_waits_for_its_next_run,
    _reclaimed,
    _of_no_job,
    _empty,
]


async def _look(harness: Harness, job_id: JobId) -> list[Job | None]:
    return await harness.engine.get([job_id])


@promise("renew.lost", "renew.progress")
@pytest.mark.parametrize("meet", STALE)
async def test_a_token_that_is_not_current_renews_nothing(
    harness: Harness, meet: Callable[[Harness], Awaitable[Case]]
) -> None:
    job_id, token = await meet(harness)
    before, wake_at = await _look(harness, job_id), (await build.claim(harness, limit=0)).wake_at
    assert await _renew(harness, Beat(job_id, token, HALF), lease_for=seconds(900)) == [LOST]
    assert await _look(harness, job_id) == before
    assert (await build.claim(harness, limit=0)).wake_at == wake_at


@promise("renew.lost")
async def test_a_lost_token_does_not_extend_the_lease_of_the_run_that_followed(harness: Harness) -> None:
    job_id, stale = await _of_an_earlier_run(harness)
    assert await _renew(harness, Beat(job_id, stale), lease_for=seconds(900)) == [LOST]
    await _lasts(harness, build.LEASE)


@promise("renew.late")
async def test_a_lease_past_its_expiry_can_be_kept_until_it_is_reclaimed(harness: Harness) -> None:
    lease = await build.start(harness)
    harness.clock.advance(10 * build.LEASE)
    assert await _renew(harness, Beat(lease.job.id, lease.token)) == [HELD]
    assert (await build.claim(harness)).overdue == 0
    await _lasts(harness, build.LEASE)


@promise("renew.progress")
async def test_progress_is_stored_and_stays_until_there_is_other(harness: Harness) -> None:
    lease = await build.start(harness)
    counting, begun, done = Progress(message="counting"), Progress(fraction=0.0), Progress(fraction=1.0)
    said = [HALF, None, counting, begun, None, done]
    shown = []
    for progress in said:
        await _renew(harness, Beat(lease.job.id, lease.token, progress))
        shown.append((await build.job(harness, lease.job.id)).progress)
    assert shown == [HALF, HALF, counting, begun, begun, done]


@promise("renew.progress")
async def test_of_two_beats_for_one_job_only_the_current_token_stores_progress(harness: Harness) -> None:
    job_id, stale = await _of_an_earlier_run(harness)
    harness.clock.advance(build.LEASE)
    current = (await build.reclaim_one(harness)).lease.token
    answers = await _renew(harness, Beat(job_id, current, HALF), Beat(job_id, stale, Progress(fraction=0.9)))
    assert answers == [HELD, LOST]
    assert (await build.job(harness, job_id)).progress == HALF
