"""What readers may rely on: jobs, bodies, history, the feed of all steps, counts."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.build import (
    LEASE,
    cancel,
    claim,
    claim_one,
    failure,
    finish,
    fresh_id,
    job,
    lane,
    new_job,
    nonce,
    reclaim,
    reclaim_one,
    seconds,
    settle,
    start,
    submit,
    submit_one,
)
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
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
    NewJob,
    Progress,
    Refund,
    Retention,
    Retry,
    Spec,
    Status,
    Succeed,
)
from tidegate.core.query import Event, HistoryEntry, LaneStats, Stats
from tidegate.core.retry import Exponential, RetryPolicy, Rule, Steps
from tidegate.core.verbs import Beat, Feed, Settled

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


# events ----------------------------------------------------------------------------------------------------


async def follow(harness: Harness, after: str | None, limit: int = 1_000) -> tuple[list[HistoryEntry], str]:
    """Everything past a cursor, and the cursor behind it."""
    met: list[HistoryEntry] = []
    for _ in range(1_000):
        feed = await harness.engine.events(after, limit)
        assert not feed.reset
        assert len(feed.entries) <= limit
        met += feed.entries
        if feed.next == after:
            return met, feed.next
        after = feed.next
    raise AssertionError(f"the feed has no end: the cursor is at {after}")


def by_job(entries: Iterable[HistoryEntry]) -> dict[JobId, list[HistoryEntry]]:
    """Each job's own entries, in the order met."""
    mine: dict[JobId, list[HistoryEntry]] = {}
    for entry in entries:
        mine.setdefault(entry.job_id, []).append(entry)
    return mine


async def histories(harness: Harness, job_ids: Sequence[JobId]) -> dict[JobId, list[HistoryEntry]]:
    """What the jobs' own histories say."""
    return {job_id: await harness.engine.history(job_id) for job_id in job_ids}


@promise("events.feed")
async def test_a_feed_without_cursor_starts_at_the_present(harness: Harness) -> None:
    await finish(harness)
    feed = await harness.engine.events(None)
    assert feed == Feed(entries=(), next=feed.next)
    later = await submit_one(harness)
    met, _ = await follow(harness, feed.next)
    assert by_job(met) == await histories(harness, [later])


@promise("events.feed")
@pytest.mark.parametrize("limit", [1, 2, 7, 1_000])
async def test_a_follower_meets_every_step_once_and_a_job_s_own_in_order(harness: Harness, limit: int) -> None:
    cursor = (await harness.engine.events(None)).next
    jobs = [await eventful(harness), await finish(harness), await eventful(harness), await submit_one(harness)]
    met, end = await follow(harness, cursor, limit)
    assert by_job(met) == await histories(harness, jobs)
    assert await follow(harness, end) == ([], end)
    assert await follow(harness, cursor, limit) == (met, end)


@promise("events.feed")
async def test_a_follower_loses_no_step_when_all_before_it_is_pruned(harness: Harness) -> None:
    await finish(harness)
    cursor = (await harness.engine.events(None)).next
    harness.advance(86_400)
    assert len(await harness.engine.prune(10)) == 1
    kept = await finish(harness)
    met, end = await follow(harness, cursor)
    assert by_job(met) == await histories(harness, [kept])
    harness.advance(86_400)
    assert await harness.engine.prune(10) == [kept]
    last = await submit_one(harness)
    assert by_job((await follow(harness, end))[0]) == await histories(harness, [last])


@promise("events.feed")
async def test_a_follower_that_was_away_while_jobs_were_pruned_meets_the_others(harness: Harness) -> None:
    cursor = (await harness.engine.events(None)).next
    short, long = Retention(succeeded=timedelta(hours=1)), Retention(succeeded=timedelta(days=9))
    ended = [await finish(harness, retention=retention) for retention in (short, long, short, long, short)]
    harness.advance(7_200)
    assert len(await harness.engine.prune(10)) == 3
    ended.append(await submit_one(harness))
    met, _ = await follow(harness, cursor, limit=2)
    kept = [job_id for job_id, found in zip(ended, await harness.engine.get(ended), strict=True) if found]
    assert len(kept) == 3
    assert by_job(met) == await histories(harness, kept)


@promise("events.feed")
async def test_a_follower_of_concurrent_writers_misses_no_step(harness: Harness) -> None:
    cursor = (await harness.engine.events(None)).next
    writers = asyncio.gather(*(_churn(harness) for _ in range(8)))
    met: list[HistoryEntry] = []
    while not writers.done():
        feed = await harness.engine.events(cursor, 5)
        assert not feed.reset
        met, cursor = met + list(feed.entries), feed.next
        await asyncio.sleep(0)
    rest, _ = await follow(harness, cursor)
    jobs = [job_id for written in await writers for job_id in written]
    assert by_job(met + rest) == await histories(harness, jobs)


async def _churn(harness: Harness) -> list[JobId]:
    mine = []
    for _ in range(5):
        mine += await submit(harness, new_job(), new_job())
        for lease in (await claim(harness, limit=2)).leases:
            await settle(harness, lease, Succeed())
    return mine


# stats -----------------------------------------------------------------------------------------------------


async def counted(harness: Harness) -> Stats:
    """The counts of a store that has been still for 5 s."""
    harness.advance(5)
    stats = await harness.engine.stats()
    assert harness.clock.now() - seconds(5) <= stats.at <= harness.clock.now()
    return stats


def standing(stats: Stats) -> dict[Lane, LaneStats]:
    """The counts by lane, without lanes that have none."""
    lanes = {one.lane: one for one in stats.lanes if one != LaneStats(lane=one.lane)}
    assert len(lanes) <= len(stats.lanes) == len({one.lane for one in stats.lanes})
    return lanes


@promise("stats.exact")
async def test_an_empty_store_counts_nothing(harness: Harness) -> None:
    stats = await counted(harness)
    assert (standing(stats), stats.oldest_ready_at, stats.oldest_ready_age) == ({}, None, timedelta(0))


@promise("stats.exact")
async def test_jobs_are_counted_where_they_stand(harness: Harness) -> None:
    dead = [await finish(harness, Bury(failure=failure())) for _ in range(3)]
    await harness.engine.dismiss(dead[:1])
    for settlement, times in ((Succeed(), 4), (Cancel(), 2)):
        for _ in range(times):
            await finish(harness, settlement)
    for _ in range(5):
        await start(harness)
    await submit(harness, *(new_job(delay=timedelta(days=1)) for _ in range(6)))
    first_due = harness.clock.now()
    await submit(harness, *(new_job() for _ in range(7)))
    stats = await counted(harness)
    assert standing(stats) == {
        lane(): LaneStats(lane=lane(), waiting=6, ready=7, running=5, succeeded=4, dead_letter=2, failed=1, cancelled=2)
    }
    assert stats.oldest_ready_at == first_due
    assert stats.oldest_ready_age == stats.at - first_due


@promise("stats.exact")
async def test_lanes_that_differ_in_anything_are_counted_apart(harness: Harness) -> None:
    lanes = [
        lane(),
        lane("a"),
        lane("a", "p"),
        lane("a", "p", "q"),
        lane("a", "q", "p"),
        lane("a", queue="high"),
        lane("p"),
    ]
    for number, where in enumerate(lanes, start=1):
        await submit(harness, *(new_job(lane=where) for _ in range(number)))
    expected = {where: LaneStats(lane=where, ready=number) for number, where in enumerate(lanes, start=1)}
    assert standing(await counted(harness)) == expected


@promise("stats.exact")
async def test_a_job_is_counted_in_the_lane_it_was_moved_to_and_no_more_once_pruned(harness: Harness) -> None:
    lease = await start(harness, lane=lane("here"))
    away = Defer(delay=timedelta(hours=1), refund=Refund.INTERRUPTION, lane=lane("there"))
    await settle(harness, lease, away)
    assert standing(await counted(harness)) == {lane("there"): LaneStats(lane=lane("there"), waiting=1)}
    await cancel(harness, lease.job.id)
    harness.advance(86_400)
    await harness.engine.prune(10)
    assert standing(await counted(harness)) == {}


@promise("stats.exact")
async def test_due_jobs_stand_in_line_after_a_claim(harness: Harness) -> None:
    now = harness.clock.now()
    await submit(harness, *(new_job(run_at=now + seconds(after)) for after in (1, 2, 3, 1_000)))
    harness.advance(10)
    await claim_one(harness)
    stats = await counted(harness)
    assert standing(stats) == {lane(): LaneStats(lane=lane(), waiting=1, ready=2, running=1)}
    assert stats.oldest_ready_at == now + seconds(2)


@promise("stats.exact")
async def test_counts_are_of_one_instant_while_jobs_move(harness: Harness) -> None:
    await submit(harness, *(new_job() for _ in range(40)))
    harness.advance(6)
    movers = asyncio.gather(*(_move(harness) for _ in range(4)))
    totals: Counter[int] = Counter()
    while not movers.done():
        for one in (await harness.engine.stats()).lanes:
            totals[one.waiting + one.ready + one.running + one.succeeded] += 1
        await asyncio.sleep(0)
    await movers
    assert set(totals) == {40}


async def _move(harness: Harness) -> None:
    while leases := (await claim(harness, limit=2)).leases:
        for lease in leases:
            await settle(harness, lease, Succeed())
