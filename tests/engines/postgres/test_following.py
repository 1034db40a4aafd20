"""The feed where transactions overlap: nothing appears behind a cursor, and a job's own steps stay in order."""

from collections.abc import Sequence

import asyncpg
import pytest

from tests.conformance.build import cancel, reclaim, start, submit_one
from tests.conformance.harness import Harness
from tests.conformance.postgres_store import database_of
from tests.servers.postgres import execute
from tidegate.core.query import HistoryEntry
from tidegate.errors import InvalidInput


async def _followed(harness: Harness, cursor: str, limit: int) -> list[HistoryEntry]:
    met: list[HistoryEntry] = []
    while (feed := await harness.engine.events(cursor, limit)).next != cursor:
        assert len(feed.entries) <= limit
        met, cursor = met + list(feed.entries), feed.next
    return met


async def _stamp(harness: Harness, *xacts: int) -> None:
    """Let the steps of the only job, the submission first, be of these transactions."""
    url = database_of(harness)
    await execute(url, f"UPDATE tidegate.specs SET xact = '{xacts[0]}'")
    for n, xact in enumerate(xacts[1:], start=2):
        await execute(url, f"UPDATE tidegate.history SET xact = '{xact}' WHERE n = {n}")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "xacts", [(4, 5, 6, 7), (7, 6, 5, 4), (5, 9, 7, 8), (5, 9, 9, 8), (9, 5, 9, 5), (6, 6, 4, 8), (5, 4, 6, 5)]
)
async def test_a_jobs_steps_are_met_once_and_in_order_whatever_transactions_made_them(
    harness: Harness, xacts: Sequence[int], limit: int
) -> None:
    cursor = "3-0-0"
    lease = await start(harness)
    await cancel(harness, lease.job.id)
    harness.advance(600)
    await reclaim(harness)
    await _stamp(harness, *xacts)
    met = await _followed(harness, cursor, limit)
    assert met == await harness.engine.history(lease.job.id)
    assert len(met) == 4


async def test_an_open_transaction_holds_the_feed_back_and_nothing_is_missed(harness: Harness) -> None:

    cursor = (await harness.engine.events(None)).next
    slow = await asyncpg.connect(database_of(harness))
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("SELECT pg_current_xact_id()")
    job = await submit_one(harness)
    assert (await harness.engine.events(cursor)).entries == ()
    await transaction.rollback()
    await slow.close()
    assert [entry.job_id for entry in (await harness.engine.events(cursor)).entries] == [job]


async def test_a_cursor_of_another_server_is_told_to_start_anew(harness: Harness) -> None:
    await submit_one(harness)
    feed = await harness.engine.events("99999999999-5-1")
    assert (feed.entries, feed.reset) == ((), True)
    assert (await harness.engine.events(feed.next)).reset is False


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-2", "-1-0-0", "1-2-3-4", "99999999999999999999999-1-1"])
async def test_what_is_no_cursor_is_refused(harness: Harness, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await harness.engine.events(cursor)
