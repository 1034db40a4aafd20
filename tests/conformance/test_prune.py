"""What is forgotten, and what never is."""

import pytest

from tests.conformance.build import cancel, claim, claim_one, failure, finish, new_job, settle, start, submit, turns
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tests.conformance.situations import DAY, ENDINGS, HOUR, TICK, revive, seen, waited_too_long
from tidegate.core.job import Bury, Ending, JobId, NewJob, Retention, Settlement, Succeed
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Cancellation, Dismissal, Revival, Settled, Submission


@promise("prune.due")
@pytest.mark.parametrize(("ending", "kept"), [(ENDINGS[0], 1), (ENDINGS[1], 2), (ENDINGS[2], 3)])
async def test_a_job_is_pruned_when_the_retention_of_its_outcome_is_over(
    harness: Harness, ending: Settlement, kept: int
) -> None:
    retention = Retention(succeeded=1 * HOUR, failed=2 * HOUR, cancelled=3 * HOUR)
    lease = await start(harness, retention=retention)
    await settle(harness, lease, ending)
    harness.advance((kept * HOUR - TICK).total_seconds())
    assert await harness.engine.prune(100) == []
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == [lease.job.id]
    assert await harness.engine.prune(100) == []


@promise("prune.due")
async def test_of_a_pruned_job_nothing_is_left(harness: Harness) -> None:
    lease = await start(harness)
    await settle(harness, lease, Bury(failure=failure()))
    harness.advance(DAY.total_seconds())
    assert await harness.engine.prune(1) == [lease.job.id]
    assert await seen(harness, lease.job.id) == (None, None, [])
    assert (await harness.engine.find(JobQuery())).jobs == ()
    assert await cancel(harness, lease.job.id) == [Cancellation.UNKNOWN]
    assert await revive(harness, lease.job.id) == [Revival.UNKNOWN]
    assert await harness.engine.dismiss([lease.job.id]) == [Dismissal.UNKNOWN]
    assert await settle(harness, lease, Bury(failure=failure())) is Settled.LOST


@promise("prune.due")
async def test_the_longest_overdue_are_pruned_first_and_no_more_than_asked_for(harness: Harness) -> None:
    finished = []
    for hours in (5, 1, 4, 2, 3):
        finished.append(await finish(harness, retention=Retention(succeeded=hours * HOUR)))
        harness.advance(1)
    harness.advance(DAY.total_seconds())
    oldest_first = [finished[place] for place in (1, 3, 4, 2, 0)]
    assert await harness.engine.prune(2) == oldest_first[:2]
    assert [found is None for found in await harness.engine.get(oldest_first)] == [True, True, False, False, False]
    assert await harness.engine.prune(2) == oldest_first[2:4]
    assert await harness.engine.prune(2) == oldest_first[4:]


@promise("prune.only-finished")
async def test_no_unfinished_job_is_ever_pruned(harness: Harness) -> None:
    running = (await start(harness)).job.id
    kept = [running, await waited_too_long(harness), *await submit(harness, new_job(delay=1_000 * DAY))]
    failed = await finish(harness, Bury(failure=failure()), type="other")
    await revive(harness, failed)
    before = [await seen(harness, job_id) for job_id in (*kept, failed)]
    harness.advance(500 * DAY.total_seconds())
    assert await harness.engine.prune(1_000) == []
    assert [await seen(harness, job_id) for job_id in (*kept, failed)] == before


@promise("prune.only-finished")
async def test_dead_letters_are_never_trimmed_by_their_number(harness: Harness) -> None:
    many = await submit(harness, *(new_job() for _ in range(300)))
    leases = (await claim(harness, limit=300, turns=turns("default", quota=300))).leases
    endings = [Ending(job_id=one.job.id, token=one.token, settlement=Bury(failure=failure())) for one in leases]
    assert await harness.engine.settle(endings) == [Settled.APPLIED] * 300
    harness.advance((DAY - TICK).total_seconds())
    assert await harness.engine.prune(1_000) == []
    harness.advance(TICK.total_seconds())
    assert sorted(await harness.engine.prune(1_000)) == sorted(many)


def keyed(retention: Retention | None = None) -> NewJob:
    """A job with the key "once"."""
    return new_job(idempotency_key="once", retention=retention or Retention())


async def known(harness: Harness, first: JobId) -> bool:
    """Whether the key still stands for `first`."""
    (receipt,) = await harness.engine.submit([keyed()])
    if receipt.submission is Submission.REPLAYED:
        assert receipt.job_id == first
        return True
    assert receipt.submission is Submission.CREATED
    return False


@promise("prune.keys")
async def test_a_key_is_kept_for_a_day_after_the_end_though_its_job_is_pruned_sooner(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=HOUR)))
    harness.advance(3_600)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance(3_600)
    assert await harness.engine.prune(100) == [first]
    assert await known(harness, first)
    harness.advance((23 * HOUR - TICK).total_seconds())
    assert await harness.engine.prune(100) == []
    assert await known(harness, first)
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == []
    assert not await known(harness, first)


@promise("prune.keys")
async def test_a_key_is_kept_as_long_as_its_job(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=3 * DAY)))
    harness.advance(30 * DAY.total_seconds())
    await harness.engine.prune(100)
    assert await known(harness, first)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance((3 * DAY - TICK).total_seconds())
    await harness.engine.prune(100)
    assert await known(harness, first)
    harness.advance(TICK.total_seconds())
    assert await harness.engine.prune(100) == [first]
    assert not await known(harness, first)


@promise("prune.keys")
async def test_the_day_of_a_key_begins_with_the_last_end_of_its_job(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(failed=DAY, succeeded=HOUR)))
    await settle(harness, await claim_one(harness), Bury(failure=failure()))
    harness.advance(12 * 3_600)
    await revive(harness, first)
    await settle(harness, await claim_one(harness), Succeed())
    harness.advance(13 * 3_600)
    assert await harness.engine.prune(100) == [first]
    assert await known(harness, first)
    harness.advance(11 * 3_600)
    await harness.engine.prune(100)
    assert not await known(harness, first)


@promise("prune.keys")
async def test_pruning_one_job_forgets_no_other_key(harness: Harness) -> None:
    (first,) = await submit(harness, keyed(Retention(succeeded=9 * DAY)))
    await settle(harness, await claim_one(harness), Succeed())
    gone = await finish(harness, idempotency_key="another", user_id="bob", retention=Retention(succeeded=DAY))
    twin = await finish(harness, idempotency_key="once", user_id="bob", retention=Retention(succeeded=DAY))
    harness.advance(2 * DAY.total_seconds())
    assert sorted(await harness.engine.prune(100)) == sorted([gone, twin])
    assert await known(harness, first)
