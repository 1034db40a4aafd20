"""The feed is bounded: who fell behind is told."""

import pytest

from tests.conformance import build
from tests.conformance.build import new_job
from tests.engines.redis.stores import fresh_url, keyspace, opened
from tests.servers.valkey import Valkey
from tidegate.engines.redis.address import read_address
from tidegate.errors import InvalidInput


async def test_a_reader_that_fell_behind_is_told_and_goes_on_from_the_present(server: Valkey) -> None:
    url = fresh_url(server)
    async with keyspace(server) as keys, opened(url) as harness:
        await build.submit_one(harness)
        behind = (await harness.engine.events(None)).next
        for _ in range(5):
            await build.submit_one(harness)
        feed = read_address(url).prefix + "feed"
        up_to_date = (await harness.engine.events(behind, 3)).next
        await keys.ask("XTRIM", feed, "MAXLEN", 2)
        told = await harness.engine.events(behind)
        assert (told.entries, told.reset) == ((), True)
        last = await build.submit_one(harness)
        rest = await harness.engine.events(told.next)
        assert ([entry.job_id for entry in rest.entries], rest.reset) == ([last], False)
        assert (await harness.engine.events(up_to_date)).reset


async def test_a_cursor_of_another_store_starts_anew(server: Valkey) -> None:
    async with opened(fresh_url(server)) as one, opened(fresh_url(server)) as other:
        await build.submit(one, new_job(), new_job())
        cursor = (await one.engine.events(None)).next
        assert (await other.engine.events(cursor)).reset


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-2-3", "1-2.", "-1", "0-0 "])
async def test_what_is_no_cursor_is_refused(server: Valkey, cursor: str) -> None:
    async with opened(fresh_url(server)) as harness:
        with pytest.raises(InvalidInput, match="no cursor"):
            await harness.engine.events(cursor)
