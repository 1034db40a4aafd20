"""The feed of all steps."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest

from tests.conformance.build import claim, finish, new_job, settle, submit, submit_one
from tests.conformance.eventful import eventful
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import JobId, Retention, Succeed
from tidegate.core.query import HistoryEntry
from tidegate.core.verbs import Feed


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
