"""Who is at work."""

import asyncio
from datetime import timedelta

import httpx2

from tests.http.calls import post
from tests.worker.house import dead_owner
from tidegate.app import Tidegate
from tidegate.clock import token
from tidegate.core.fairness import Turn
from tidegate.core.query import WorkerInfo
from tidegate.core.verbs import ClaimRequest


async def _workers(client: httpx2.AsyncClient, count: int = 0) -> list[dict[str, object]]:
    """The workers, once there are at least so many."""
    async with asyncio.timeout(10):
        while True:
            items: list[dict[str, object]] = (await client.get("/workers")).json()["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.01)


async def test_where_nobody_works_the_list_is_empty(api: httpx2.AsyncClient) -> None:
    assert await _workers(api) == []


async def test_a_worker_tells_its_place_its_slots_and_what_it_serves(working: httpx2.AsyncClient) -> None:
    [worker] = await _workers(working, 1)
    assert (worker["stale"], worker["slots"], worker["running"]) == (False, 10, 0)
    assert worker["host"]
    assert str(worker["pid"]) in str(worker["id"]).split(".")
    queues, types = worker["queues"], worker["types"]
    assert isinstance(queues, list)
    assert isinstance(types, list)
    assert {"default", "high", "low"} <= set(queues)
    assert {"echo", "broken"} <= set(types)


async def test_whoever_holds_a_lease_and_is_silent_is_stale(api: httpx2.AsyncClient, app: Tidegate) -> None:
    await post(api)
    owner = dead_owner()
    request = ClaimRequest(
        owner=owner,
        turns=(Turn(queue="default", quota=1),),
        types=frozenset({"echo"}),
        limit=1,
        lease_for=timedelta(seconds=60),
    )
    await app.system.engine.claim(request, token())
    [worker] = await _workers(api, 1)
    assert (worker["id"], worker["stale"], worker["host"], worker["slots"]) == (owner, True, None, None)
    assert str(worker["pid"]) == owner.split(".")[2]
    now = app.system.clock.now()
    info = WorkerInfo(owner=owner, host="far", pid=7, started_at=now, version="1", slots=3, busy=1, queues=("default",))
    await app.system.engine.announce(info, timedelta(seconds=60))
    [worker] = await _workers(api, 1)
    assert (worker["stale"], worker["host"], worker["running"]) == (False, "far", 1)
