"""What readers may rely on: jobs, bodies and history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.build import (
    LEASE,
    cancel,
    claim_one,
    finish,
    fresh_id,
    job,
    lane,
    new_job,
    nonce,
    reclaim,
    seconds,
    settle,
    start,
    submit,
    submit_one,
)
from tests.conformance.eventful import eventful
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.failure import Failure
from tidegate.core.job import (
    Body,
    Counters,
    Defer,
    Ending,
    Job,
    Lane,
    NewJob,
    Progress,
    Refund,
    Retention,
    Retry,
    Spec,
    Status,
    Succeed,
)
from tidegate.core.query import Event, HistoryEntry
from tidegate.core.retry import Exponential, RetryPolicy, Rule, Steps
from tidegate.core.verbs import Beat, Settled

TICK = timedelta(microseconds=1)

FULL = Spec(
    type="reports.monthly",
    user_id="Zoë 😀 'quoted' \"twice\" %_\\",
    lane=Lane(queue="high", upstream="openai:gpt", parents=("openai", "account-7")),
    priority=9,
    tags=("b", "a", "ünïcode", "with,comma", '{"json": [1]}', "line\nbreak", ""),
    retry=RetryPolicy(
        backoff=Exponential(initial=TICK, factor=1.1, cap=timedelta(days=366), jitter=0.1),
        max_attempts=1_000,
        rules=(
            Rule(error="http:429", max_attempts=7, backoff=Steps(delays=(3 * TICK, seconds(5)), jitter=0.25)),
            Rule(error="ValueError", retry=False),
        ),
    ),
    timeout=timedelta(days=3, microseconds=1),
    retry_on_timeout=True,
    expires_at=datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    retention=Retention(succeeded=TICK, failed=timedelta(days=400), cancelled=timedelta(0)),
    idempotency_key="key with spaces",
    fingerprint="0123456789abcdef" * 4,
    request_id="req-ü",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)

WHOLE_FAILURE = Failure(
    code="own_code",
    message="ünï\ncode 😀 " + "x" * 8_000,
    error_type="SomeError",
    transient=False,
    retry_after=timedelta(seconds=1.000001),
    status=503,
)


# get -------------------------------------------------------------------------------------------------------


@promise("get.whole")
async def test_a_job_reads_back_as_it_was_submitted_to_the_last_field(harness: Harness) -> None:
    harness.advance(0.000001)
    run_at = datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)
    (full, plain) = await submit(harness, NewJob(id=fresh_id(), spec=FULL, run_at=run_at), new_job(delay=TICK))
    now = harness.clock.now()
    found = await job(harness, full)
    assert found == Job(
        id=full,
        seq=found.seq,
        spec=FULL,
        lane=FULL.lane,
        status=Status.QUEUED,
        created_at=now,
        run_at=run_at,
        due_at=run_at,
        expires_at=FULL.expires_at,
    )
    assert (await job(harness, plain)).run_at == now + TICK
    assert (await job(harness, plain)).seq > found.seq


@promise("get.whole")
async def test_instants_and_durations_come_back_with_their_types_and_zone(harness: Harness) -> None:
    (full,) = await submit(harness, NewJob(id=fresh_id(), spec=FULL))
    found = await job(harness, full)
    instants = [found.created_at, found.run_at, found.due_at, found.expires_at, found.spec.expires_at]
    assert [instant.tzinfo for instant in instants if instant is not None] == [UTC] * 5
    assert isinstance(found.spec.tags, tuple)
    assert isinstance(found.lane.parents, tuple)
    assert isinstance(found.status, Status)
    assert isinstance(found.spec.retry.backoff, Exponential)


@promise("get.whole")
async def test_a_job_reads_back_as_its_steps_left_it(harness: Harness) -> None:
    lease = await start(harness, timeout=seconds(7))
    claimed_at = harness.clock.now()
    beat = Beat(lease.job.id, lease.token, Progress(fraction=0.1, message="ten ‰"))
    await harness.engine.renew([beat], LEASE)
    running = await job(harness, lease.job.id)
    assert running == replace(lease.job, progress=beat.progress)
    assert running.counters == Counters(runs=1)
    assert (running.started_at, running.timeout_at) == (claimed_at, claimed_at + seconds(7))
    harness.advance(1.5)
    away = Defer(delay=TICK, refund=Refund.UPSTREAM_FAULT, failure=WHOLE_FAILURE, lane=lane("away", "far"))
    await settle(harness, lease, away)
    deferred = await job(harness, lease.job.id)
    assert deferred == replace(
        running,
        status=Status.QUEUED,
        run_at=harness.clock.now() + TICK,
        timeout_at=None,
        error=WHOLE_FAILURE,
        counters=Counters(runs=1, upstream_faults=1),
        lane=lane("away", "far"),
    )
    assert deferred.attempts == 0


@promise("get.whole")
async def test_a_succeeded_job_shows_where_its_result_is_and_no_error(harness: Harness) -> None:
    lease = await start(harness)
    await settle(harness, lease, Retry(delay=timedelta(0), failure=WHOLE_FAILURE))
    again = await claim_one(harness)
    assert again.job.error == WHOLE_FAILURE
    harness.advance(3)
    done = Succeed(result=b"[]", result_path="results/ü/1.json", degraded=True, served_by="fallback-2")
    await settle(harness, again, done)
    now = harness.clock.now()
    assert await job(harness, lease.job.id) == replace(
        again.job,
        status=Status.SUCCEEDED,
        finished_at=now,
        prune_at=now + timedelta(hours=24),
        error=None,
        result_path="results/ü/1.json",
        degraded=True,
        served_by="fallback-2",
    )


@promise("get.whole")
async def test_jobs_are_read_in_the_order_asked_for_unknown_ones_as_none(harness: Harness) -> None:
    first, second = await submit_one(harness), await submit_one(harness)
    answer = await harness.engine.get([second, fresh_id(), first, second])
    assert [found and found.id for found in answer] == [second, None, first, second]
    assert await harness.engine.get([]) == []


# bodies ----------------------------------------------------------------------------------------------------


EVERY_BYTE = bytes(range(256))


@promise("bodies.exact")
@pytest.mark.parametrize("data", [b"", b"\x00", EVERY_BYTE, "\ufeff{}😀".encode(), EVERY_BYTE * 4_096, b" \\x00'%\n"])
async def test_any_bytes_come_back_as_they_went_in(harness: Harness, data: bytes) -> None:
    (submitted,) = await submit(harness, new_job(payload=data))
    assert await harness.engine.bodies([submitted]) == [Body(payload=data)]
    lease = await claim_one(harness)
    assert lease.payload == data
    await settle(harness, lease, Succeed(result=data))
    assert await harness.engine.bodies([submitted]) == [Body(payload=data, result=data)]


@promise("bodies.exact")
async def test_bodies_are_read_in_the_order_asked_for(harness: Harness) -> None:
    first, second = await submit(harness, new_job(payload=b"1"), new_job(payload=b"2"))
    one, two = Body(payload=b"1"), Body(payload=b"2")
    assert await harness.engine.bodies([second, fresh_id(), first, second]) == [two, None, one, two]
    assert await harness.engine.bodies([]) == []


@promise("bodies.exact")
async def test_no_result_and_an_empty_one_are_two_things(harness: Harness) -> None:
    empty, none = await finish(harness, Succeed(result=b"")), await finish(harness, Succeed(result=None))
    assert await harness.engine.bodies([empty, none]) == [Body(payload=b"{}", result=b""), Body(payload=b"{}")]


# history ---------------------------------------------------------------------------------------------------


EVENTFUL: list[tuple[Event, int, str, int]] = [
    (Event.SUBMITTED, 0, "", 0),
    (Event.CLAIMED, 1, "", 1),
    (Event.RETRIED, 1, "flaky", 2),
    (Event.CLAIMED, 2, "", 2),
    (Event.DEFERRED, 2, "crash", 3),
    (Event.RECLAIMED, 2, "waited", 63),
    (Event.FAILED, 2, "expired", 64),
    (Event.DISMISSED, 2, "", 64),
    (Event.REVIVED, 2, "", 64),
    (Event.CLAIMED, 3, "", 65),
    (Event.CANCEL_REQUESTED, 3, "", 65),
    (Event.CANCELLED, 3, "stopped", 66),
]
"""Event, run, note and seconds since the start."""


@promise("history.complete")
async def test_every_step_left_one_entry(harness: Harness) -> None:
    started_at = harness.clock.now()
    job_id = await eventful(harness)
    assert await harness.engine.history(job_id) == [
        HistoryEntry(seq=place, job_id=job_id, at=started_at + seconds(after), event=event, run=run, note=note)
        for place, (event, run, note, after) in enumerate(EVENTFUL, start=1)
    ]


@promise("history.complete")
async def test_history_is_read_on_from_where_one_stopped(harness: Harness) -> None:
    job_id = await eventful(harness)
    whole = await harness.engine.history(job_id)
    assert await harness.engine.history(job_id, after=5) == whole[5:]
    assert await harness.engine.history(job_id, limit=4) == whole[:4]
    assert await harness.engine.history(job_id, after=10, limit=1) == whole[10:11]
    assert await harness.engine.history(job_id, after=12) == []
    assert await harness.engine.history(fresh_id()) == []


@promise("history.complete")
async def test_what_changes_nothing_leaves_no_entry(harness: Harness) -> None:
    lease = await start(harness)
    done = Ending(job_id=lease.job.id, token=lease.token, settlement=Succeed())
    assert await harness.engine.settle([done, done]) == [Settled.APPLIED] * 2
    before = await harness.engine.history(lease.job.id)
    await harness.engine.renew([Beat(lease.job.id, lease.token)], LEASE)
    await harness.engine.submit([NewJob(id=lease.job.id, spec=lease.job.spec)])
    await cancel(harness, lease.job.id)
    await harness.engine.revive([lease.job.id], nonce())
    await harness.engine.dismiss([lease.job.id])
    await reclaim(harness)
    assert await harness.engine.settle([done]) == [Settled.APPLIED]
    assert await harness.engine.history(lease.job.id) == before
    assert len(before) == 3
