"""The stream of one job: every step once, in order, to its end, whatever breaks in between."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post, problem
from tests.http.streaming import Counted, Told, claim, finish, listening, restarted, say, settle, steps
from tests.worker.house import STORES, eventually
from tidegate.app import Tidegate
from tidegate.core.job import Defer, Job, JobId, Refund, Succeed
from tidegate.errors import EngineUnavailable
from tidegate.http.live import following, streams

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
    async with restarted(store, tmp_path) as another:
        client, app = await another()
        job_id = await post(client)
        async with listening(client, _path(job_id)) as ear:
            heard = [await ear.next()]
            lease = await claim(app)
            heard.append(await ear.next())
        await settle(app, lease, Defer(delay=timedelta(0), refund=Refund.INTERRUPTION))
        client, app = await another()
        async with listening(client, _path(job_id), ear.place) as ear:
            heard.append(await ear.next())
            await finish(app, job_id)
            heard += await ear.rest()
        assert [(one.data["seq"], one.event) for one in heard] == await steps(app, job_id)
        assert [one.event for one in heard] == ["submitted", "claimed", "deferred", "claimed", "succeeded"]
        async with listening(client, f"{_path(job_id)}?after=4") as ear:
            assert _events(await ear.rest()) == [("5", "succeeded")]
        assert (await client.get(_path(job_id), headers={"Last-Event-ID": "5"})).status_code == 204


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
