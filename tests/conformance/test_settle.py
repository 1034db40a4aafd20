"""Clauses of `JobQueue.settle`: what each settlement makes of a job."""

from datetime import timedelta

import pytest

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core import lifecycle, steps
from tidegate.core.failure import Failure
from tidegate.core.job import (
    Body,
    Bury,
    Cancel,
    Counters,
    Defer,
    Ending,
    Job,
    JobId,
    Lane,
    Phase,
    Refund,
    Retention,
    Retry,
    Settlement,
    Status,
    Succeed,
    Token,
)
from tidegate.core.query import Event, JobQuery
from tidegate.core.verbs import Settled

HOURS = timedelta(hours=1)
RETENTION = Retention(succeeded=HOURS, failed=2 * HOURS, cancelled=3 * HOURS)
FIRST = build.failure("first", "an earlier error")
FULL = Failure(code="http", message="no \u2713", error_type="E", transient=False, retry_after=seconds(7.25), status=503)


async def _ended(harness: Harness, settlement: Settlement) -> Job:
    """A job whose second run ended so, an hour late; as it is then, and as `core.steps` says it must be."""
    await build.finish(harness, Retry(delay=seconds(0), failure=FIRST), retention=RETENTION)
    lease = await build.claim_one(harness)
    harness.clock.advance(HOURS)
    await build.end(harness, lease, settlement)
    job = await build.job(harness, lease.job.id)
    assert job == steps.settled(lease.job, settlement, harness.clock.now())
    return job


async def _body(harness: Harness, job_id: JobId) -> Body:
    (body,) = await harness.engine.bodies([job_id])
    assert body is not None
    return body


async def _last(harness: Harness, job_id: JobId) -> tuple[Event, str, int]:
    entry = (await harness.engine.history(job_id))[-1]
    assert entry.at == harness.clock.now()
    return entry.event, entry.note, entry.run


@promise("settle.succeed")
async def test_success_ends_the_job_with_its_result(harness: Harness) -> None:
    result = bytes(range(256))
    job = await _ended(harness, Succeed(result=result, result_path="a/b.json", degraded=True, served_by="spare"))
    now = harness.clock.now()
    assert (job.status, job.finished_at, job.prune_at) == (Status.SUCCEEDED, now, now + HOURS)
    assert (job.result_path, job.degraded, job.served_by, job.error) == ("a/b.json", True, "spare", None)
    assert await _body(harness, job.id) == Body(payload=b"{}", result=result)
    assert await _last(harness, job.id) == (Event.SUCCEEDED, "degraded", 2)
    assert job.counters == Counters(runs=2)


@promise("settle.succeed")
@pytest.mark.parametrize("result", [None, b""])
async def test_an_empty_result_is_not_the_same_as_none(harness: Harness, result: bytes | None) -> None:
    job_id = await build.finish(harness, Succeed(result=result))
    assert (await _body(harness, job_id)).result == result
    assert await _last(harness, job_id) == (Event.SUCCEEDED, "", 1)


@promise("settle.succeed")
async def test_a_success_past_the_timeout_is_a_success(harness: Harness) -> None:
    lease = await build.start(harness, timeout=seconds(1))
    harness.advance(20)
    await build.end(harness, lease, Succeed())
    assert (await build.job(harness, lease.job.id)).status is Status.SUCCEEDED


@promise("settle.succeed", "settle.bury", "settle.cancel")
@pytest.mark.parametrize("settlement", [Succeed(), Bury(failure=FULL), Cancel()])
async def test_a_finished_job_stays_long_enough_for_a_repeated_submit(harness: Harness, settlement: Settlement) -> None:
    at_once = Retention(succeeded=seconds(0), failed=seconds(0), cancelled=seconds(0))
    job_id = await build.finish(harness, settlement, retention=at_once)
    assert (await build.job(harness, job_id)).prune_at == harness.clock.now() + steps.SHORTEST_KEPT


@promise("settle.retry")
@pytest.mark.parametrize("failure", [FULL, build.failure()])
async def test_a_retry_queues_the_job_with_its_failure_as_error(harness: Harness, failure: Failure) -> None:
    job = await _ended(harness, Retry(delay=seconds(9), failure=failure))
    assert (job.status, job.run_at) == (Status.QUEUED, harness.clock.now() + seconds(9))
    assert (job.error, job.timeout_at, job.finished_at, job.prune_at) == (failure, None, None, None)
    assert (job.counters, job.attempts) == (Counters(runs=2), 2)
    assert await _last(harness, job.id) == (Event.RETRIED, failure.code, 2)
    harness.advance(9)
    lease = await build.claim_one(harness)
    assert (lease.job.id, lease.job.counters.runs) == (job.id, 3)


@promise("settle.retry", "settle.defer")
async def test_a_job_that_comes_back_was_first_due_when_it_was(harness: Harness) -> None:
    due_at = harness.clock.now()
    job = await _ended(harness, Retry(delay=seconds(9), failure=FULL))
    assert job.due_at == due_at
    harness.advance(9)
    await build.end(harness, await build.claim_one(harness), Defer(delay=seconds(9), refund=Refund.CRASH))
    assert (await build.job(harness, job.id)).due_at == due_at


@promise("settle.defer")
@pytest.mark.parametrize(
    ("refund", "counters"),
    [
        (Refund.UPSTREAM_FAULT, Counters(runs=2, upstream_faults=1)),
        (Refund.CRASH, Counters(runs=2, crashes=1)),
        (Refund.INTERRUPTION, Counters(runs=2, interruptions=1)),
    ],
)
async def test_a_deferral_gives_the_run_back_and_counts_why(
    harness: Harness, refund: Refund, counters: Counters
) -> None:
    job = await _ended(harness, Defer(delay=seconds(9), refund=refund))
    assert (job.status, job.run_at) == (Status.QUEUED, harness.clock.now() + seconds(9))
    assert (job.counters, job.attempts) == (counters, 1)
    assert (job.error, job.lane) == (FIRST, Lane())
    assert await _last(harness, job.id) == (Event.DEFERRED, refund.value, 2)


@promise("settle.defer")
async def test_every_refund_is_counted(harness: Harness) -> None:
    await build.submit(harness, new_job())
    for refund in (Refund.CRASH, Refund.UPSTREAM_FAULT, Refund.CRASH, Refund.INTERRUPTION, Refund.CRASH):
        await build.end(harness, await build.claim_one(harness), Defer(delay=seconds(0), refund=refund))
    job = (await build.claim_one(harness)).job
    assert job.counters == Counters(runs=6, crashes=3, upstream_faults=1, interruptions=1)
    assert job.attempts == 1


@promise("settle.defer")
async def test_a_deferral_with_a_failure_replaces_the_error(harness: Harness) -> None:
    job = await _ended(harness, Defer(delay=seconds(0), refund=Refund.UPSTREAM_FAULT, failure=FULL))
    assert job.error == FULL


@promise("settle.defer")
async def test_a_deferral_to_a_lane_moves_the_job_there(harness: Harness) -> None:
    there = build.lane("llm", "acme", queue="high")
    job = await _ended(harness, Defer(delay=seconds(0), refund=Refund.UPSTREAM_FAULT, lane=there))
    assert (job.lane, job.spec.lane) == (there, Lane())
    assert await build.claimed_ids(harness) == []
    (found,) = (await harness.engine.find(JobQuery(queue="high", upstream="llm"))).jobs
    assert await build.claimed_ids(harness, turns=build.turns("high")) == [job.id] == [found.id]


@promise("settle.bury")
@pytest.mark.parametrize(("refund", "attempts"), [(None, 2), (Refund.CRASH, 1)])
async def test_a_buried_job_is_a_dead_letter_with_its_failure(
    harness: Harness, refund: Refund | None, attempts: int
) -> None:
    job = await _ended(harness, Bury(failure=FULL, refund=refund))
    now = harness.clock.now()
    assert (job.status, job.finished_at, job.prune_at) == (Status.FAILED, now, now + 2 * HOURS)
    assert (job.error, job.attempts, job.dismissed_at) == (FULL, attempts, None)
    assert lifecycle.phase(job, now) is Phase.DEAD_LETTER
    assert (await harness.engine.find(JobQuery(phase=Phase.DEAD_LETTER))).jobs == (job,)
    assert await _last(harness, job.id) == (Event.FAILED, "http", 2)


@promise("settle.cancel")
@pytest.mark.parametrize("requested", [True, False])
async def test_a_cancelled_run_ends_the_job_without_a_result(harness: Harness, requested: bool) -> None:
    lease = await build.start(harness, retention=RETENTION)
    if requested:
        await build.cancel(harness, lease.job.id)
    await build.end(harness, lease, Cancel(note="stopped after cancel"))
    job, now = await build.job(harness, lease.job.id), harness.clock.now()
    assert (job.status, job.finished_at, job.prune_at) == (Status.CANCELLED, now, now + 3 * HOURS)
    assert (job.result_path, (await _body(harness, job.id)).result) == (None, None)
    assert await _last(harness, job.id) == (Event.CANCELLED, "stopped after cancel", 1)


@promise("settle.succeed", "settle.bury", "settle.cancel")
@pytest.mark.parametrize("settlement", [Succeed(), Bury(failure=FULL), Cancel()])
async def test_an_ended_job_is_claimed_and_reclaimed_no_more(harness: Harness, settlement: Settlement) -> None:
    await build.finish(harness, settlement)
    harness.clock.advance(HOURS)
    assert await build.claimed_ids(harness) == []
    assert await build.reclaim(harness) == []


@promise("settle.succeed", "settle.retry", "settle.fenced")
async def test_every_ending_of_a_batch_has_its_own_answer_in_order(harness: Harness) -> None:
    await build.submit(harness, *(new_job() for _ in range(3)))
    a, b, c = (await build.claim(harness)).leases
    endings = [
        Ending(job_id=c.job.id, token=c.token, settlement=Succeed(result=b"c")),
        Ending(job_id=a.job.id, token=Token(b.token), settlement=Succeed(result=b"x")),
        Ending(job_id=b.job.id, token=b.token, settlement=Retry(delay=seconds(0), failure=FULL)),
        Ending(job_id=a.job.id, token=a.token, settlement=Succeed(result=b"a")),
    ]
    answers = await harness.engine.settle(endings)
    assert answers == [Settled.APPLIED, Settled.LOST, Settled.APPLIED, Settled.APPLIED]
    assert [(await _body(harness, lease.job.id)).result for lease in (a, b, c)] == [b"a", None, b"c"]
    assert await build.claimed_ids(harness) == [b.job.id]
    assert await harness.engine.settle([]) == []
