"""The stream of all jobs: every step of one's own once, nobody else's ever, whoever comes, goes, or falls behind."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import BOB, post, problem
from tests.http.streaming import Told, finish, listening, restarted
from tests.worker.house import STORES
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.http.live import streams

POLL = timedelta(seconds=0.05)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a reader that rests for a short time only."""
    return settings.model_copy(update={"poll": POLL})


def _steps(told: Sequence[Told]) -> list[tuple[object, str]]:
    return [(one.data["job_id"], one.event) for one in told]


async def test_every_step_of_all_my_jobs_is_told(server: httpx2.AsyncClient, app: Tidegate) -> None:
    async with listening(server, "/events") as ear:
        first = await post(server)
        await finish(app, first)
        second = await post(server, delay=60)
        heard = [await ear.next() for _ in range(4)]
    assert _steps(heard) == [(first, "submitted"), (first, "claimed"), (first, "succeeded"), (second, "submitted")]
    assert heard[2].data.pop("at")
    assert heard[2].data == {
        "job_id": first,
        "type": "echo",
        "seq": 3,
        "event": "succeeded",
        "run": 1,
        "note": "",
    }


async def test_nobody_is_told_of_another_users_jobs(server: httpx2.AsyncClient, app: Tidegate) -> None:
    async with listening(server, "/events") as mine, server.stream("GET", "/events", headers=BOB) as response:
        theirs = (await server.post("/jobs", json={"type": "echo"}, headers=BOB)).json()["job_id"]
        await finish(app, theirs)
        own = await post(server, delay=60)
        assert (await mine.next()).key == (own, 1)
        lines = response.aiter_lines()
        async with asyncio.timeout(5):
            told = [line for line in [await anext(lines) for _ in range(16)] if line.startswith("data: ")]
        assert len(told) >= 3
        assert all(theirs in line for line in told)
        # From the very first step on, read by itself and not by the reader.
    async with listening(server, "/events?after=0") as mine:
        assert (await mine.next()).key == (own, 1)


@pytest.mark.parametrize("store", STORES)
async def test_who_comes_back_misses_nothing_and_is_told_nothing_twice(store: str, tmp_path: Path) -> None:
    async with restarted(store, tmp_path) as another:
        client, app = await another()
        async with listening(client, "/events") as ear:
            first = await post(client)
            heard = [await ear.next()]
            await finish(app, first)
            heard.append(await ear.next())
        second = await post(client)
        client, app = await another()
        async with listening(client, "/events") as other, listening(client, "/events", ear.place) as ear:
            await finish(app, second)
            heard += [await ear.next() for _ in range(4)]
            third = await post(client, delay=60)
            assert (await ear.next()).key == (third, 1)
            assert [(await other.next()).key for _ in range(3)][-1] == (third, 1)
        keys = sorted((str(one.data["job_id"]), one.data["seq"]) for one in heard)
        assert keys == [(job_id, seq) for job_id in (first, second) for seq in (1, 2, 3)]


@pytest.mark.parametrize("place", ["999999999", "nonsense", "1-2-3", "1-1.9", "²", "0_x_1", "7" * 60])
async def test_a_place_that_is_gone_is_a_reset_and_the_stream_goes_on(server: httpx2.AsyncClient, place: str) -> None:
    await post(server)
    for query, header in ((f"?after={place}", None), ("", place.encode())):
        async with listening(server, f"/events{query}", header) as ear:
            reset = await ear.next()
            assert (reset.event, reset.data, bool(reset.id)) == ("reset", {"event": "reset"}, True)
            job_id = await post(server, delay=60)
            assert (await ear.next()).key == (job_id, 1)


async def test_a_sign_of_life_tells_where_the_feed_is(
    server: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    async with listening(server, "/events") as ear:
        await ear.comment()
        before = ear.place
        await server.post("/jobs", json={"type": "echo"}, headers=BOB)
        async with asyncio.timeout(5):
            while ear.place == before:
                await ear.comment()
        await ear.comment()
    job_id = await post(server)
    async with listening(server, "/events", ear.place) as ear:
        assert (await ear.next()).key == (job_id, 1)


async def test_an_unknown_parameter_is_refused(api: httpx2.AsyncClient) -> None:
    problem(await api.get("/events", params={"since": "1"}), 422, "invalid-input")
