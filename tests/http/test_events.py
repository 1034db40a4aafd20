"""The stream of one job: every step once, in order, to its end, whatever breaks in between."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import ADA, BOB, fields, post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, served
from tests.http.streaming import Counted, Told, claim, finish, listening, restarted, say, settle, silent, steps
from tests.worker.house import STORES, Watch, eventually, soon
from tidegate.app import Tidegate
from tidegate.core.job import Defer, Job, JobId, Refund, Succeed
from tidegate.errors import EngineUnavailable
from tidegate.http import following, streams
from tidegate.http.server import Server

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
FEW = (0.02, 0.02)


def _events(told: Sequence[Told]) -> list[tuple[str | None, str]]:
    return [(one.id, one.event) for one in told]


def _path(job_id: str) -> str:
    return f"/jobs/{job_id}/events"


async def test_steps_and_progress_are_told_as_they_happen_and_the_stream_ends_with_the_job(
    server: httpx2.AsyncClient, app: Tidegate
) -> None:
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        submitted = await ear.next()
        assert (submitted.id, submitted.event, submitted.data["status"]) == ("1", "submitted", "queued")
        lease = await claim(app)
        claimed = await ear.next()
        assert (claimed.id, claimed.data["status"], claimed.data["progress"]) == ("2", "running", None)
        await say(app, lease, 0.5)
        progress = await ear.next()
        assert (progress.id, progress.event, progress.data["seq"]) == (None, "progress", None)
        assert progress.data["progress"] == {"fraction": 0.5, "message": ""}
        await settle(app, lease, Succeed(result=b"1"))
        [ended] = await ear.rest()
        assert (ended.id, ended.event) == ("3", "succeeded")
        assert ended.data.pop("at")
        assert ended.data == {
            "seq": 3,
            "event": "succeeded",
            "run": 1,
            "note": "",
            "status": "succeeded",
            "attempts": 1,
            "progress": {"fraction": 1.0, "message": ""},
        }


async def test_proxies_and_caches_are_told_to_pass_it_on(server: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(server)
    await finish(app, job_id)
    async with listening(server, _path(job_id)) as ear:
        assert len(await ear.rest()) == 3
        headers = ear.response.headers
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert ear.retry == "2000"


@pytest.mark.parametrize("store", STORES)
async def test_who_comes_back_misses_nothing_and_is_told_nothing_twice(store: str, tmp_path: Path) -> None:
    async with restarted(store, tmp_path) as servers:
        client, app = await anext(servers)
        job_id = await post(client)
        async with listening(client, _path(job_id)) as ear:
            heard = [await ear.next()]
            lease = await claim(app)
            heard.append(await ear.next())
        await settle(app, lease, Defer(delay=timedelta(0), refund=Refund.INTERRUPTION))
        client, app = await anext(servers)
        async with listening(client, _path(job_id), ear.place) as ear:
            heard.append(await ear.next())
            await finish(app, job_id)
            heard += await ear.rest()
        assert [(one.data["seq"], one.event) for one in heard] == await steps(app, job_id)
        assert [one.event for one in heard] == ["submitted", "claimed", "deferred", "claimed", "succeeded"]
        async with listening(client, f"{_path(job_id)}?after=4") as ear:
            assert _events(await ear.rest()) == [("5", "succeeded")]
        assert (await client.get(_path(job_id), headers={"Last-Event-ID": "5"})).status_code == 204
        await anext(servers, None)


async def test_the_header_wins_over_the_address_that_was_asked_first(api: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(api)
    await finish(app, job_id)
    response = await api.get(_path(job_id), params={"after": 1}, headers={"Last-Event-ID": "2"})
    assert [line for line in response.text.splitlines() if line.startswith("id")] == ["id: 3"]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_every_end_is_told_to_who_comes_after_it(end: str, working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(working, "broken", max_attempts=1, delay=0 if end == "failed" else 60)
    if end == "cancelled":
        await working.post(f"/jobs/{job_id}/cancel")
    await app.client.wait(job_id, timedelta(seconds=10))
    text = (await working.get(_path(job_id))).text
    last = text.rstrip().split("\n\n")[-1]
    assert f"event: {end}\n" in last
    assert f'"status":"{end}"' in last


async def test_a_long_history_comes_whole(api: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(api)
    for _ in range(120):
        await settle(app, await claim(app), Defer(delay=timedelta(0), refund=Refund.INTERRUPTION))
    await finish(app, job_id)
    response = await api.get(_path(job_id))
    found = [int(line[4:]) for line in response.text.splitlines() if line.startswith("id: ")]
    assert found == list(range(1, 244))


async def test_a_job_that_is_retried_goes_on_behind_its_first_end(server: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(server)
    await server.post(f"/jobs/{job_id}/cancel")
    async with listening(server, _path(job_id)) as ear:
        assert _events(await ear.rest()) == [("1", "submitted"), ("2", "cancelled")]
    await server.post(f"/jobs/{job_id}/retry")
    async with listening(server, _path(job_id), ear.place) as ear:
        assert (await ear.next()).event == "revived"
        await finish(app, job_id)
        assert [one.event for one in await ear.rest()] == ["claimed", "succeeded"]


# what may go wrong -----------------------------------------------------------------------------------------


async def test_an_end_that_never_rings_is_found_by_looking(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(topics: Sequence[str], timeout: timedelta) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app.system.engine, "wait", deaf)
    monkeypatch.setattr(following, "LOOKS", (0.05,))
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        await finish(app, job_id)
        assert [one.event for one in await ear.rest()][-1] == "succeeded"


async def test_a_bell_that_rings_without_cause_makes_no_haste(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def restless(topics: Sequence[str], timeout: timedelta) -> None:
        return

    monkeypatch.setattr(app.system.engine, "wait", restless)
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        looks = Counted(app, "get", monkeypatch)
        await asyncio.sleep(0.3)
        assert 1 <= looks.calls <= 0.3 / following.BREATH


async def test_a_look_that_finds_nothing_is_one_call_of_the_store(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOKS", FEW)
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        looks, histories = Counted(app, "get", monkeypatch), Counted(app, "history", monkeypatch)
        await eventually(lambda: looks.calls >= 3)
        assert histories.calls == 0


async def test_a_store_that_is_away_for_a_while_is_waited_for(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOKS", FEW)
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        looks = Counted(app, "get", monkeypatch)
        looks.fault = EngineUnavailable("away")
        await eventually(lambda: looks.calls >= 2)
        await finish(app, job_id)
        looks.fault = None
        assert _events(await ear.rest()) == [("2", "claimed"), ("3", "succeeded")]


async def test_a_job_that_is_pruned_between_two_looks_is_told_to_be_gone(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(job_ids: Sequence[JobId]) -> list[Job | None]:
        return [None for _ in job_ids]

    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        monkeypatch.setattr(app.system.engine, "get", unknown)
        [told] = await ear.rest()
        assert (told.event, told.id, told.data) == ("gone", None, {"event": "gone"})
    problem(await server.get(_path(job_id)), 404, "job-not-found")


async def test_a_comment_is_a_sign_of_life(server: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.02)
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        await ear.next()
        await ear.comment()
        await ear.comment()
        assert ear.place == "1"


async def test_a_stream_that_is_old_ends_and_goes_on_in_the_next(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST", 0.1)
    job_id = await post(server)
    async with listening(server, _path(job_id)) as ear:
        assert _events(await ear.rest()) == [("1", "submitted")]
    await finish(app, job_id)
    async with listening(server, _path(job_id), ear.place) as ear:
        assert _events(await ear.rest()) == [("2", "claimed"), ("3", "succeeded")]


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


@pytest.mark.parametrize(("setting", "user"), [("limit_streams_per_user", "ada"), ("limit_streams", "bob")])
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
