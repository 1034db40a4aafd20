"""Twins of one request on two servers of one store: one job, one count, and none is refused for another's sake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import url_of
from tidegate.app import Tidegate
from tidegate.errors import EngineUnavailable

ROUNDS, TWINS = 4, 12


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers of one store, and Ada's clients of them."""

    apps: list[Tidegate]
    clients: list[httpx2.AsyncClient]

    async def race(self, **body: object) -> list[httpx2.Response]:
        """The same request at once, half of it to each."""
        calls = (self.clients[n % 2].post("/jobs", json={"type": "echo", **body}) for n in range(TWINS))
        return list(await asyncio.gather(*calls))


@pytest.fixture(params=["valkey", "postgres"])
async def pair(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Two servers on a store that processes may share; a user may submit as many jobs as there are rounds."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(url_of(request.param, tmp_path))
        limits = {"engine": url, "limit_user_per_hour": ROUNDS, "limit_ip_per_minute": 4 * ROUNDS}
        settings = plain_settings(tmp_path / "data").model_copy(update=limits)
        apps = [application(settings) for _ in range(2)]
        clients = [await stack.enter_async_context(reached(app, worker=False)) for app in apps]
        yield Pair(apps, clients)


async def test_twins_that_race_across_servers_are_one_job_and_one_count_up_to_the_limit(pair: Pair) -> None:
    for number in range(ROUNDS):
        answers = await pair.race(idempotency_key=f"k-{number}")
        assert sorted(answer.status_code for answer in answers) == [200] * (TWINS - 1) + [201]
        assert len({answer.json()["job_id"] for answer in answers}) == 1
        [made] = [answer for answer in answers if answer.status_code == 201]
        assert made.headers["ratelimit-remaining"] == str(ROUNDS - 1 - number)
    for client in pair.clients:
        problem(await client.post("/jobs", json={"type": "echo"}), 429, "rate-limited")
        again = await client.post("/jobs", json={"type": "echo", "idempotency_key": "k-0"})
        assert again.status_code == 200


async def test_another_request_under_a_key_costs_its_user_nothing_wherever_it_comes(pair: Pair) -> None:
    await pair.race(idempotency_key="k")
    for client in pair.clients * 3:
        answer = await client.post("/jobs", json={"type": "echo", "idempotency_key": "k", "priority": 1})
        problem(answer, 422, "idempotency-conflict")
    last = await pair.clients[0].post("/jobs", json={"type": "echo"})
    assert last.headers["ratelimit-remaining"] == str(ROUNDS - 2)


async def test_a_repeat_of_a_request_whose_end_nobody_knew_is_counted_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise EngineUnavailable("nobody knows")

    body = {"type": "echo", "idempotency_key": "k"}
    with monkeypatch.context() as patch:
        patch.setattr(pair.apps[0].system.engine, "submit", away)
        for _ in range(ROUNDS + 1):
            problem(await pair.clients[0].post("/jobs", json=body), 503, "store-unavailable")
    made = await pair.clients[1].post("/jobs", json=body)
    assert (made.status_code, made.headers["ratelimit-remaining"]) == (201, str(ROUNDS - 1))
