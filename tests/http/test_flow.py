"""What queues tell of how jobs flow through them, on every store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post, run
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, url_of
from tidegate.app import Tidegate
from tidegate.http.watching import lookout, throughput

every_store = pytest.mark.parametrize("app", STORES, indirect=True)


@pytest.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tidegate]:
    """An application on the store that is asked for, or in memory."""
    async with url_of(getattr(request, "param", "memory"), tmp_path) as url:
        yield application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))


async def _queue(client: httpx2.AsyncClient, name: str = "default") -> dict[str, float | None]:
    """A queue, as the list has it."""
    items = {item["name"]: item for item in (await client.get("/queues")).json()["items"]}
    found: dict[str, float | None] = items[name]
    return found


@every_store
async def test_ages_are_those_of_each_queue_s_own_jobs(app: Tidegate) -> None:
    async with reached(app, worker=False) as client:
        await post(client)
        await asyncio.sleep(0.25)
        await post(client, queue="high")
        await post(client, queue="low", delay=60)
        default, high, low = [await _queue(client, name) for name in ("default", "high", "low")]
        shown = (await client.get("/queues/default")).json()
    ages = [queue["oldest_ready_age"] for queue in (default, high, low)]
    assert ages[0] is not None
    assert ages[1] is not None
    assert 0 <= ages[1] <= ages[0] - 0.2
    assert ages[2] == 0
    assert [queue["depth"] for queue in (default, high, low)] == [1, 1, 1]
    assert shown["oldest_ready_age"] >= ages[0]


async def test_of_long_queues_the_age_is_known_only_where_it_can_be_no_other_s(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "PAGE", 1)
    for queue in ("default", "default", "high"):
        await post(api, queue=queue)
    assert ((await _queue(api, "default"))["oldest_ready_age"] or 0) > 0  # the oldest of all is not in the short one
    await post(api, queue="high")
    assert [(await _queue(api, name))["oldest_ready_age"] for name in ("default", "high")] == [None, None]


@every_store
async def test_throughput_counts_what_ended_since_the_first_look(
    app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "SETTLED", 0.0)
    async with reached(app, worker=True) as client:
        assert (await _queue(client))["throughput"] is None
        for job_type, queue in (("echo", "default"), ("broken", "default"), ("echo", "high")):
            await run(client, app, job_type, queue=queue, max_attempts=1)
        rates = [0.0]
        async with asyncio.timeout(10):  # a feed may tell of the newest steps a little later
            while not rates[0] > rates[-1] > 0:
                await asyncio.sleep(0.02)
                rates = [(await _queue(client, name))["throughput"] or 0.0 for name in ("default", "high")]
        assert (await _queue(client, "low"))["throughput"] == 0
