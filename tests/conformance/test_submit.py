"""Clauses of `JobQueue.submit`: accepted once, kept, and never twice for one id or key."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, JobId, NewJob, Retention, Retry, Status
from tidegate.core.query import Event
from tidegate.core.verbs import Receipt, Submission

CREATED, REPLAYED, CONFLICT = Submission.CREATED, Submission.REPLAYED, Submission.CONFLICT
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


async def _submit(harness: Harness, *jobs: NewJob) -> list[Receipt]:
    return await harness.engine.submit(jobs)


async def _seen(harness: Harness, job_id: JobId) -> object:
    """All that a reader can see of a job."""
    engine = harness.engine
    return await engine.get([job_id]), await engine.bodies([job_id]), await engine.history(job_id)


@promise("submit.durable")
async def test_a_created_job_is_queued_in_its_lane_and_due_now(harness: Harness) -> None:
    wanted = new_job(lane=build.lane("llm", "acme", queue="high"), payload=b'{"n": 1}')
    assert await _submit(harness, wanted) == [Receipt(wanted.id, CREATED)]
    async with harness.other() as second_client:
        (found,) = await second_client.get([wanted.id])
    now = harness.clock.now()
    assert found is not None
    assert (found.id, found.spec, found.lane) == (wanted.id, wanted.spec, wanted.spec.lane)
    assert (found.status, found.created_at, found.run_at, found.due_at) == (Status.QUEUED, now, now, now)
    assert await build.steps(harness, wanted.id) == [Event.SUBMITTED]


@promise("submit.durable")
async def test_a_created_job_is_due_after_its_delay_or_at_its_run_at(harness: Harness) -> None:
    now = harness.clock.now()
    later, at, past = new_job(delay=seconds(90)), new_job(run_at=now + seconds(60)), new_job(run_at=now - HOUR)
    harness.advance(10)
    await build.submit(harness, later, at, past)
    run_at = [(await build.job(harness, new.id)).run_at for new in (later, at, past)]
    assert run_at == [now + seconds(100), now + seconds(60), now - HOUR]


@promise("submit.durable")
async def test_an_accepted_batch_is_there_whole_and_in_order(harness: Harness) -> None:
    ids = await build.submit(harness, *(new_job(payload=f'{{"n": {n}}}'.encode()) for n in range(20)))
    bodies = await harness.engine.bodies(ids)
    assert [body.payload for body in bodies if body] == [f'{{"n": {n}}}'.encode() for n in range(20)]
    numbers = [(await build.job(harness, job_id)).seq for job_id in ids]
    assert numbers == sorted(set(numbers))


@promise("submit.durable")
async def test_an_empty_batch_has_an_empty_answer(harness: Harness) -> None:
    assert await _submit(harness) == []


@promise("submit.id-repeat")
async def test_a_repeated_id_is_replayed_and_changes_nothing(harness: Harness) -> None:
    first = new_job(payload=b"first")
    await build.submit(harness, first)
    before = await _seen(harness, first.id)
    harness.advance(5)
    again = new_job(job_id=first.id, payload=b"second", priority=9, delay=seconds(60))
    assert await _submit(harness, again) == [Receipt(first.id, REPLAYED)]
    assert await _seen(harness, first.id) == before


@promise("submit.id-repeat")
async def test_a_repeated_id_takes_no_idempotency_key(harness: Harness) -> None:
    first = await build.submit_one(harness)
    await _submit(harness, new_job(job_id=first, idempotency_key="k"))
    assert (await _submit(harness, new_job(idempotency_key="k")))[0].submission is CREATED


@promise("submit.id-repeat")
async def test_a_repeated_id_never_runs_again(harness: Harness) -> None:
    running = await build.start(harness)
    ended = await build.finish(harness, retention=Retention(succeeded=timedelta(0)))
    await harness.engine.prune(10)
    receipts = await _submit(harness, new_job(job_id=running.job.id), new_job(job_id=ended))
    assert [receipt.submission for receipt in receipts] == [REPLAYED, REPLAYED]
    assert await build.claimed_ids(harness) == []


@promise("submit.id-conflict")
async def test_a_repeated_id_with_another_fingerprint_conflicts_and_changes_nothing(harness: Harness) -> None:
    first = await build.submit_one(harness)
    before = await _seen(harness, first)
    other = new_job(job_id=first, fingerprint="f-2", payload=b"other", idempotency_key="k")
    assert await _submit(harness, other) == [Receipt(first, CONFLICT)]
    assert await _seen(harness, first) == before
    assert (await _submit(harness, new_job(idempotency_key="k")))[0].submission is CREATED


async def _queued(harness: Harness) -> JobId:
    return await build.submit_one(harness, idempotency_key="k")


async def _running(harness: Harness) -> JobId:
    return (await build.start(harness, idempotency_key="k")).job.id


async def _retrying(harness: Harness) -> JobId:
    return await build.finish(harness, Retry(delay=HOUR, failure=build.failure()), idempotency_key="k")


async def _succeeded(harness: Harness) -> JobId:
    return await build.finish(harness, idempotency_key="k")


async def _failed(harness: Harness) -> JobId:
    return await build.finish(harness, Bury(failure=build.failure()), idempotency_key="k")


async def _cancelled(harness: Harness) -> JobId:
    job_id = await _queued(harness)
    await build.cancel(harness, job_id)
    return job_id


async def _revived(harness: Harness) -> JobId:
    job_id = await _failed(harness)
    await harness.engine.revive([job_id], build.nonce())
    return job_id


async def _pruned(harness: Harness) -> JobId:
    job_id = await build.finish(harness, idempotency_key="k", retention=Retention(succeeded=HOUR))
    harness.advance(3_600)
    assert await harness.engine.prune(10) == [job_id]
    return job_id


FATES = [_queued, _running, _retrying, _succeeded, _failed, _cancelled, _revived, _pruned]


@promise("submit.key-replay")
@pytest.mark.parametrize("meet", FATES)
async def test_a_known_key_names_the_first_job_whatever_became_of_it(
    harness: Harness, meet: Callable[[Harness], Awaitable[JobId]]
) -> None:
    first = await meet(harness)
    before = await _seen(harness, first)
    again = new_job(idempotency_key="k", payload=b"again")
    assert await _submit(harness, again) == [Receipt(first, REPLAYED)]
    assert await harness.engine.get([again.id]) == [None]
    assert await _seen(harness, first) == before


@promise("submit.key-conflict")
@pytest.mark.parametrize("meet", FATES)
async def test_a_known_key_with_another_fingerprint_conflicts_and_changes_nothing(
    harness: Harness, meet: Callable[[Harness], Awaitable[JobId]]
) -> None:
    first = await meet(harness)
    before = await _seen(harness, first)
    other = new_job(idempotency_key="k", fingerprint="f-2")
    assert await _submit(harness, other) == [Receipt(first, CONFLICT)]
    assert await harness.engine.get([other.id]) == [None]
    assert await _seen(harness, first) == before
    assert await _submit(harness, new_job(idempotency_key="k")) == [Receipt(first, REPLAYED)]


@promise("submit.key-scope")
async def test_keys_of_different_users_never_meet(harness: Harness) -> None:
    pairs = [
        ("ada", "k"),
        ("bob", "k"),
        ("", "k"),
        ("ada", "K"),
        ("Ada", "k"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("ad", "ak"),
    ]
    receipts = await _submit(harness, *(new_job(user_id=user, idempotency_key=key) for user, key in pairs))
    assert [receipt.submission for receipt in receipts] == [CREATED] * len(pairs)


@promise("submit.key-scope")
async def test_jobs_without_a_key_never_meet(harness: Harness) -> None:
    receipts = await _submit(harness, new_job(), new_job(), new_job(fingerprint="f-2"))
    receipts += await _submit(harness, new_job())
    assert [receipt.submission for receipt in receipts] == [CREATED] * 4
    assert len(await build.claimed_ids(harness)) == 4


async def _known(harness: Harness) -> bool:
    """Whether the key is still known; a repeat that finds it so changes nothing."""
    (receipt,) = await _submit(harness, new_job(idempotency_key="k"))
    return receipt.submission is REPLAYED


@promise("submit.key-lifetime")
async def test_a_key_outlives_its_pruned_job_until_24_hours_after_the_end(harness: Harness) -> None:
    await _pruned(harness)
    harness.clock.advance(23 * HOUR - TICK)
    await harness.engine.prune(10)
    assert await _known(harness)
    harness.clock.advance(TICK)
    assert await _known(harness), "it is prune that forgets, nothing else"
    await harness.engine.prune(10)
    assert not await _known(harness)


@promise("submit.key-lifetime")
async def test_a_key_lives_as_long_as_its_job(harness: Harness) -> None:
    await build.finish(harness, idempotency_key="k", retention=Retention(succeeded=100 * HOUR))
    harness.clock.advance(100 * HOUR - TICK)
    await harness.engine.prune(10)
    assert await _known(harness)
    harness.clock.advance(TICK)
    await harness.engine.prune(10)
    assert not await _known(harness)


@promise("submit.key-lifetime")
async def test_a_key_of_a_job_that_waits_or_runs_is_never_forgotten(harness: Harness) -> None:
    await build.submit(harness, new_job(idempotency_key="k", delay=720 * HOUR))
    harness.clock.advance(720 * HOUR)
    await harness.engine.prune(10)
    assert await _known(harness)
    await build.claim_one(harness)
    harness.clock.advance(48 * HOUR)
    await harness.engine.prune(10)
    assert await _known(harness)


@promise("submit.key-lifetime")
async def test_a_revived_job_begins_the_last_day_of_its_key_anew(harness: Harness) -> None:
    retention = Retention(succeeded=HOUR, failed=HOUR)
    failed = await build.finish(harness, Bury(failure=build.failure()), idempotency_key="k", retention=retention)
    await harness.engine.revive([failed], build.nonce())
    harness.clock.advance(30 * HOUR)
    await harness.engine.prune(10)
    assert await _known(harness)
    await build.end(harness, await build.claim_one(harness), Bury(failure=build.failure()))
    harness.clock.advance(24 * HOUR - TICK)
    assert await harness.engine.prune(10) == [failed]
    assert await _known(harness)
    harness.clock.advance(TICK)
    await harness.engine.prune(10)
    assert not await _known(harness)


@promise("submit.batch-twins")
async def test_twins_in_one_batch_meet_like_twins_in_two(harness: Harness) -> None:
    first, plain = new_job(idempotency_key="k"), new_job()
    batch = [
        first,
        plain,
        new_job(idempotency_key="k"),
        new_job(idempotency_key="k", fingerprint="f-2"),
        new_job(idempotency_key="k", user_id="bob"),
        plain,
        new_job(job_id=plain.id, fingerprint="f-2"),
    ]
    receipts = await _submit(harness, *batch)
    answers = [CREATED, CREATED, REPLAYED, CONFLICT, CREATED, REPLAYED, CONFLICT]
    ids = [first.id, plain.id, first.id, first.id, batch[4].id, plain.id, plain.id]
    assert receipts == [Receipt(job_id, answer) for job_id, answer in zip(ids, answers, strict=True)]
    assert sorted(await build.claimed_ids(harness)) == sorted([first.id, plain.id, batch[4].id])


@promise("submit.race")
async def test_concurrent_twins_by_key_give_one_job(harness: Harness) -> None:
    twins = [new_job(idempotency_key="k") for _ in range(64)]
    async with harness.other() as other:
        engines = [harness.engine, other] * 32
        calls = [engine.submit([twin]) for engine, twin in zip(engines, twins, strict=True)]
        receipts = [receipt for answer in await asyncio.gather(*calls) for receipt in answer]
    assert sorted(receipt.submission for receipt in receipts) == [CREATED] + [REPLAYED] * 63
    (winner,) = {receipt.job_id for receipt in receipts}
    assert await build.claimed_ids(harness) == [winner]


@promise("submit.race")
async def test_concurrent_repeats_of_one_id_give_one_job(harness: Harness) -> None:
    wanted = new_job()
    async with harness.other() as other:
        calls = [engine.submit([wanted]) for engine in [harness.engine, other] * 16]
        receipts = [receipt for answer in await asyncio.gather(*calls) for receipt in answer]
    assert sorted(receipt.submission for receipt in receipts) == [CREATED] + [REPLAYED] * 31
    assert await build.claimed_ids(harness) == [wanted.id]
