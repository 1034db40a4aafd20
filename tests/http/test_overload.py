"""A server that answers as many requests as it was told to answer at a time."""

import asyncio

import httpx2
import pytest

from tests.http.calls import problem
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.query import JobQuery, Page

AT_A_TIME = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server that answers few."""
    return settings.model_copy(update={"http_requests": AT_A_TIME})


async def test_more_are_told_to_come_back_and_health_is_always_answered(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = asyncio.Semaphore(0), asyncio.Event()
    find = app.client.find

    async def slow(query: JobQuery) -> Page:
        begun.release()
        await end.wait()
        return await find(query)

    monkeypatch.setattr(app.client, "find", slow)
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(server.get("/jobs")) for _ in range(AT_A_TIME)]
        async with asyncio.timeout(20):
            for _ in busy:
                await begun.acquire()
        for _ in range(3):
            refused = await server.post("/jobs", json={"type": "echo"})
            problem(refused, 503, "overloaded")
            assert refused.headers["retry-after"] == "1"
            assert (await server.get("/health")).status_code == 200
        end.set()
    assert [task.result().status_code for task in busy] == [200] * AT_A_TIME
    assert (await server.get("/jobs")).status_code == 200
