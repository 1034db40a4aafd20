"""Who is at work, and who was."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, dead_owner, url_of
from tidegate.app import Tidegate
from tidegate.clock import token
from tidegate.core import waiting
from tidegate.core.fairness import Turn
from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.core.verbs import ClaimRequest
from tidegate.errors import EngineUnavailable
from tidegate.http.routes import workers
from tidegate.http.watching import lookout
from tidegate.worker import renewal

SECOND = timedelta(seconds=1)


async def _workers(client: httpx2.AsyncClient, count: int = 0) -> list[dict[str, object]]:
    """The workers, once there are at least so many."""
    async with asyncio.timeout(20):
        while True:
            items: list[dict[str, object]] = (await client.get("/workers")).json()["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.01)


async def _why(client: httpx2.AsyncClient, job_id: str) -> object:
    return (await client.get(f"/jobs/{job_id}/status")).json()["wait_reason"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is due has been so for long, and every look at the workers is a new one."""
    monkeypatch.setattr(waiting, "SOON", timedelta(0))
    monkeypatch.setattr(lookout, "KEPT", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("store", STORES)
async def test_a_job_that_nobody_serves_says_so_in_every_view_of_it(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=True) as client:
            await _workers(client, 1)
            job_id, why = await post(client, queue="nobody-s"), "no worker serves queue nobody-s"
            assert await _why(client, job_id) == why
            assert (await client.get(f"/jobs/{job_id}")).json()["wait_reason"] == why
            listed = (await client.get("/jobs", params={"queue": "nobody-s"})).json()["items"]
            assert [job["wait_reason"] for job in listed] == [why]


@pytest.mark.usefixtures("impatient")
async def test_a_job_whose_type_no_worker_has_says_so_and_only_while_none_has(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    job_id = await post(api)
    assert await _why(api, job_id) == "no worker serves queue default"
    info, engine = _info(app, Owner("far"), ago=timedelta(0)), app.system.engine
    await engine.announce(replace(info, types=("mail",)), 15 * SECOND)
    assert await _why(api, job_id) == "no worker that serves queue default has job type echo"
    await engine.announce(replace(info, owner=Owner("near"), types=("echo",)), 15 * SECOND)
    assert await _why(api, job_id) == waiting.FREE


async def test_who_is_at_work_is_asked_for_once_in_a_while_and_not_for_jobs_just_due(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, workers_of = [], app.system.engine.workers

    async def counted() -> list[WorkerInfo]:
        asked.append(1)
        return await workers_of()

    monkeypatch.setattr(app.system.engine, "workers", counted)
    job_id = await post(api)
    assert await _why(api, job_id) == waiting.FREE
    assert asked == []
    monkeypatch.setattr(waiting, "SOON", timedelta(0))
    monkeypatch.setattr(lookout, "KEPT", 600.0)
    for _ in range(3):
        assert await _why(api, job_id) == "no worker serves queue default"
    assert asked == [1]


@pytest.mark.usefixtures("impatient")
async def test_where_the_store_does_not_say_who_is_at_work_a_job_waits_for_a_worker(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[WorkerInfo]:
        raise EngineUnavailable("away")

    monkeypatch.setattr(app.system.engine, "workers", away)
    assert await _why(api, await post(api)) == waiting.FREE


async def _held(app: Tidegate, owner: Owner) -> None:
    """Have that owner hold a lease."""
    request = ClaimRequest(
        owner=owner,
        turns=(Turn(queue="default", quota=1),),
        types=frozenset({"echo"}),
        limit=1,
        lease_for=timedelta(seconds=60),
    )
    assert (await app.system.engine.claim(request, token())).leases


def _info(app: Tidegate, owner: Owner, *, ago: timedelta) -> WorkerInfo:
    """A worker that was heard of so long ago, and counted as at work for 15 s."""
    now = app.system.upstreams.now()
    seen = now - ago
    return WorkerInfo(
        owner=owner,
        host="far",
        pid=7,
        started_at=now,
        version="1",
        slots=3,
        busy=1,
        queues=("default",),
        seen_at=seen,
        live_until=seen + 15 * SECOND,
    )


async def test_where_nobody_works_the_list_is_empty(api: httpx2.AsyncClient) -> None:
    assert await _workers(api) == []


async def test_a_worker_tells_its_place_its_slots_and_what_it_serves(working: httpx2.AsyncClient) -> None:
    [worker] = await _workers(working, 1)
    assert (worker["state"], worker["stale"], worker["slots"], worker["running"]) == ("live", False, 10, 0)
    assert worker["host"]
    assert str(worker["last_seen_at"]) >= str(worker["started_at"])
    assert str(worker["pid"]) in str(worker["id"]).split(".")
    queues, types = worker["queues"], worker["types"]
    assert isinstance(queues, list)
    assert isinstance(types, list)
    assert {"default", "high", "low"} <= set(queues)
    assert {"echo", "broken"} <= set(types)


async def test_whoever_holds_a_lease_and_is_silent_is_stale(api: httpx2.AsyncClient, app: Tidegate) -> None:
    await post(api)
    owner = dead_owner()
    await _held(app, owner)
    [worker] = await _workers(api, 1)
    assert (worker["id"], worker["state"], worker["stale"]) == (owner, "silent", True)
    assert (worker["host"], worker["slots"], worker["last_seen_at"]) == (None, None, None)
    assert str(worker["pid"]) == owner.split(".")[2]
    await app.system.engine.announce(_info(app, owner, ago=20 * SECOND), renewal.LISTED)
    [worker] = await _workers(api, 1)
    assert (worker["state"], worker["host"], worker["running"]) == ("silent", "far", 1)
    await app.system.engine.announce(_info(app, owner, ago=0 * SECOND), renewal.LISTED)
    [worker] = await _workers(api, 1)
    assert (worker["state"], worker["stale"], worker["host"], worker["running"]) == ("live", False, "far", 1)


@pytest.mark.parametrize("store", STORES)
async def test_who_has_gone_is_listed_for_an_hour_and_counts_no_more(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=False) as api:
            worker = app.system.worker()
            await worker.start()
            await _workers(api, 1)
            await worker.stop()
            engine, lost = app.system.engine, dead_owner()
            await engine.announce(_info(app, lost, ago=20 * SECOND), renewal.LISTED)
            states = {str(item["id"]): item["state"] for item in await _workers(api)}
            assert states == {worker.owner: "stopped", lost: "lost"}
            assert (await api.get("/readyz")).json()["workers"] == 0
            counts = (await api.get("/metrics", headers={"Accept": "application/json"})).json()
            assert counts["workers"] == 0
            await engine.announce(_info(app, lost, ago=20 * SECOND), timedelta(0))
            assert [item["id"] for item in await _workers(api)] == [worker.owner]


async def test_of_those_that_have_gone_the_newest_are_shown(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_GONE", 2)
    for ago in (40, 20, 30):
        await app.system.engine.announce(_info(app, Owner(f"gone-{ago}"), ago=ago * SECOND), renewal.LISTED)
    assert [item["id"] for item in await _workers(api)] == ["gone-20", "gone-30"]


async def test_an_announcement_of_an_older_release_counts_while_it_is_listed(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    now = app.system.clock.now()
    info = WorkerInfo(owner=Owner("old"), host="far", pid=7, started_at=now, version="0", slots=3)
    await app.system.engine.announce(info, timedelta(seconds=60))
    [worker] = await _workers(api)
    assert (worker["state"], worker["last_seen_at"]) == ("live", None)
