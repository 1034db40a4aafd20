"""Who may open a stream, how many, and that nothing goes on for who leaves or when the server stops."""

import asyncio
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import ADA, BOB, fields, post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, served
from tests.http.streaming import Counted, finish, listening, silent
from tests.worker.house import Watch, soon
from tidegate.app import Tidegate
from tidegate.http.live import following
from tidegate.http.server import Server

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
FEW = (0.02, 0.02)


def _path(job_id: str) -> str:
    return f"/jobs/{job_id}/events"


# who may, and how many -------------------------------------------------------------------------------------


async def test_a_job_that_one_may_not_see_is_unknown_before_the_stream_begins(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    problem(await api.get(_path(job_id), headers=BOB), 404, "job-not-found")
    problem(await api.get(_path(UNKNOWN)), 404, "job-not-found")
    problem(await api.get("/jobs/no-id/events"), 404, "job-not-found")


@pytest.mark.parametrize("place", ["", "x", "-1", "1.5", "9" * 12, "²", "0x1"])
async def test_an_id_that_is_none_is_refused(api: httpx2.AsyncClient, place: str) -> None:
    job_id = await post(api)
    response = await api.get(_path(job_id), headers={b"Last-Event-ID": place.encode()})
    assert fields(problem(response, 422, "invalid-input")) == ["last-event-id"]
    if place:
        problem(await api.get(_path(job_id), params={"after": place}), 422, "invalid-input")


@pytest.mark.parametrize(
    ("setting", "user"),
    [("limit_streams_per_user", "ada"), ("limit_streams_per_address", "bob"), ("limit_streams", "bob")],
)
async def test_streams_are_bounded_and_an_ended_one_makes_room(setting: str, user: str, tmp_path: Path) -> None:
    settings = plain_settings(tmp_path).model_copy(update={setting: 1})
    app, headers = application(settings), {"X-User-ID": user}
    async with served(app, settings) as client:
        first, second = await post(client), str((await _posted(client, headers))["job_id"])
        async with listening(client, _path(first)) as ear:
            await ear.next()
            refused = await client.get(_path(second), headers=headers)
            problem(refused, 429, "rate-limited")
            assert refused.headers["retry-after"] == "10"
            other = await client.get("/events", headers=headers)
            problem(other, 429, "rate-limited")
        await finish(app, first)
        async with asyncio.timeout(5):
            for pause in chain([0.0], repeat(0.01)):
                await asyncio.sleep(pause)
                if (await client.get(_path(first), headers={"Last-Event-ID": "1"})).status_code == 200:
                    break


async def _posted(client: httpx2.AsyncClient, headers: dict[str, str]) -> dict[str, object]:
    posted: dict[str, object] = (await client.post("/jobs", json={"type": "echo", "delay": 60}, headers=headers)).json()
    return posted


# leaving ---------------------------------------------------------------------------------------------------


async def test_who_leaves_costs_nothing_further(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOKS", FEW)
    job_id = await post(server)
    looks, pages = Counted(app, "get", monkeypatch), Counted(app, "events", monkeypatch)
    async with listening(server, _path(job_id)) as one, listening(server, "/events") as all_of_them:
        await one.next()
        await post(server, delay=60)
        await all_of_them.next()
    await silent(looks, pages)


async def test_a_server_that_stops_ends_its_streams_and_waits_at_once(tmp_path: Path) -> None:
    settings = plain_settings(tmp_path).model_copy(update={"grace": timedelta(seconds=10)})
    server = Server(application(settings), settings, worker=False)
    running = asyncio.create_task(server.run())
    await soon(server.started.wait())
    async with httpx2.AsyncClient(base_url=server.url, headers=ADA, timeout=20) as client:
        job_id = await post(client)
        waiting = asyncio.create_task(client.get(f"/jobs/{job_id}/status", params={"wait": 60}))
        async with listening(client, _path(job_id)) as one, listening(client, "/events") as all_of_them:
            await one.next()
            watch = Watch()
            server.stop()
            assert (await one.rest(), await all_of_them.rest()) == ([], [])
            assert (await waiting).json()["status"] == "queued"
            await soon(running)
            assert watch.seconds < 2
