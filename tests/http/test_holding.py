"""What queues tell of jobs in line that nobody claims: how many, and why."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post, run
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.http.test_budgets import Usage
from tests.worker.house import STORES, url_of
from tidegate.app import Tidegate
from tidegate.context import Context
from tidegate.core.budget import Budget
from tidegate.core.job import Lane
from tidegate.core.query import LaneStats
from tidegate.core.rules import API, Rules
from tidegate.core.upstream import FOREVER, Overridden, Override, Upstream
from tidegate.http.watching.holding import RECEIVERS, Held, held

NOW = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=366)
"""A window that no test outlasts."""


def _look(gate: str) -> tuple[Upstream, Rules]:
    """Everything named `down...` is shut, by an operator's word."""
    name = gate.partition(":")[2].removeprefix("webhook.")
    shut = name.startswith("down")
    word = Overridden(word=Override.OPEN, author="ops", at=NOW, until=FOREVER) if shut else None
    return Upstream(override=word), API


def _lane(ready: int, queue: str = "q", upstream: str | None = None, *parents: str) -> LaneStats:
    return LaneStats(lane=Lane(queue=queue, upstream=upstream, parents=parents), ready=ready, waiting=7)


def test_jobs_are_held_by_a_gate_of_their_lane_and_added_up_by_reason() -> None:
    lanes = [
        *(_lane(1), _lane(0, "q", "down-3"), _lane(2, "q", "up"), _lane(3, "q", "down-1")),
        *(_lane(4, "q", "up", "down-2"), _lane(5, "q", "other", "down-2")),
    ]
    told = [(one.jobs, one.upstream, one.why.partition(" was ")[0]) for one in held(lanes, NOW, _look)]
    assert told == [(9, "down-2", "down-2"), (3, "down-1", "down-1")]


def test_a_queue_s_pause_has_no_upstream_and_no_receiver_is_named() -> None:
    [paused] = held([_lane(2, "down-q", "up")], NOW, _look)
    assert (paused.jobs, paused.upstream, paused.why.startswith("queue down-q was paused by ops")) == (2, None, True)
    hooks = [_lane(1, "system", "webhook.down-1"), _lane(2, "system", "webhook.down-2")]
    assert held(hooks, NOW, _look) == [Held(jobs=3, why=RECEIVERS)]


async def _queue(client: httpx2.AsyncClient, name: str = "default") -> dict[str, object]:
    found: dict[str, object] = (await client.get(f"/queues/{name}")).json()
    return found


def _paid(app: Tidegate) -> None:
    """A job type whose upstream has spent its budget after two runs."""
    app.upstream("paid", budget=Budget(1, YEAR))

    async def call(ctx: Context) -> None:
        async with ctx.upstream("paid") as one:
            one.spent(Usage())

    app.job("paid", upstream="paid")(call)


@pytest.mark.parametrize("store", STORES)
async def test_what_a_spent_budget_holds_is_held_and_the_queue_says_why_and_until_when(
    store: str, tmp_path: Path
) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        _paid(app)
        async with reached(app, worker=True) as client:
            for _ in range(2):
                await run(client, app, "paid")
            await app.system.upstreams.keeper.flush("upstream:paid")
            for _ in range(3):
                await post(client, "paid")
            queue = await _held(client, 3)
    [hold] = queue["held_by"] if isinstance(queue["held_by"], list) else []
    assert (hold["jobs"], hold["upstream"], queue["ready"]) == (3, "paid", 3)
    assert hold["why"].startswith("paid has spent its budget of $1.00 in 366 days until 20")
    assert hold["until"] > datetime.now(UTC).isoformat()


async def _held(client: httpx2.AsyncClient, count: int) -> dict[str, object]:
    """The queue, once it has so many in line that are held: a claim puts them there."""
    async with asyncio.timeout(60):
        for pause in repeat(0.02):
            queue = await _queue(client)
            if queue["held"] == count:
                return queue
            await asyncio.sleep(pause)
    raise AssertionError


async def test_what_a_pause_holds_is_held_until_the_queue_goes_on(api: httpx2.AsyncClient) -> None:
    await post(api)
    assert ((await _queue(api))["held"], (await _queue(api))["held_by"]) == (0, [])
    paused = (await api.post("/queues/default/pause", json={"seconds": 60})).json()
    [hold] = paused["held_by"]
    assert (paused["held"], hold["jobs"], hold["upstream"], hold["until"]) == (1, 1, None, paused["resumes_at"])
    await api.post("/queues/default/resume")
    listed = {item["name"]: item for item in (await api.get("/queues")).json()["items"]}
    assert listed["low"]["held_by"] == []


async def test_a_queue_tells_how_many_may_run_at_once_after_its_pause(api: httpx2.AsyncClient) -> None:
    await post(api)
    assert (await _queue(api))["limit"] is None
    assert (await api.post("/queues/default/resume")).json()["limit"] == 2
    assert (await _queue(api))["limit"] == 2
