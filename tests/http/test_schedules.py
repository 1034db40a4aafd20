"""Schedules over HTTP: made, shown, held, tried, and nobody else's."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import BOB, ended, fields, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, url_of
from tidegate.app import Tidegate
from tidegate.clock import FakeClock
from tidegate.core.cron import tick_key
from tidegate.core.query import JobQuery
from tidegate.http.routes import schedules
from tidegate.worker.crontab import Crontab

NIGHTLY = {"expression": "0 3 * * *", "timezone": "Europe/Berlin", "type": "echo", "payload": {"text": "hi"}}


async def put(api: httpx2.AsyncClient, name: str = "nightly", /, **given: object) -> httpx2.Response:
    """Make or replace a schedule."""
    return await api.put(f"/schedules/{name}", json={**NIGHTLY, **given})


async def replaced(api: httpx2.AsyncClient, given: Mapping[str, object]) -> httpx2.Response:
    """Make or replace the schedule with other fields."""
    return await api.put("/schedules/nightly", json={**NIGHTLY, **given})


async def shown(api: httpx2.AsyncClient, name: str = "nightly") -> dict[str, object]:
    """The schedule, which must be there."""
    response = await api.get(f"/schedules/{name}")
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


async def test_a_schedule_shows_all_that_was_asked_for_and_its_next_five_ticks(api: httpx2.AsyncClient) -> None:
    asked: dict[str, object] = {
        "misfire": "all",
        "max_catch_up": 3,
        "queue": "high",
        "priority": 2,
        "max_attempts": 2,
        "timeout": 5.0,
    }
    asked |= {"tags": ["t"], **NIGHTLY}
    response = await replaced(api, {**asked, "retry": {"policy": "steps", "delays": [1, 2]}})
    assert response.status_code == 201
    known = response.json()
    assert known == await shown(api)
    assert {name: known[name] for name in asked} == asked
    assert known["retry"]["delays"] == [1, 2]
    assert (known["user_id"], known["origin"], known["paused"], known["error"]) == ("ada", "api", False, "")
    assert (known["last_tick"], known["last_job"]) == (None, None)
    ticks = [datetime.fromisoformat(tick) for tick in known["next_ticks"]]
    assert len(ticks) == 5
    assert ticks[0] > datetime.now(UTC)
    assert {tick.hour for tick in ticks} <= {1, 2}
    assert known["next_at"] == known["next_ticks"][0]
    [listed] = (await api.get("/schedules")).json()["items"]
    assert listed == {name: known[name] for name in listed}


async def test_a_payload_is_kept_to_the_byte(api: httpx2.AsyncClient) -> None:
    body = b'{"type": "echo", "expression": "0 3 * * *", "payload": {"numbers": [1.50, 1e2], "text": "\\u00e4"}}'
    response = await api.put("/schedules/exact", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 201, response.text
    assert b'"payload":{"numbers": [1.50, 1e2], "text": "\\u00e4"}' in response.content


async def test_replacing_keeps_the_pause_and_what_was_done(api: httpx2.AsyncClient) -> None:
    made = (await put(api)).json()
    await api.post("/schedules/nightly/pause")
    again = await put(api, expression="0 4 * * *")
    assert again.status_code == 200
    known = again.json()
    assert (known["expression"], known["paused"], known["paused_by"]) == ("0 4 * * *", True, "ada")
    assert known["created_at"] == made["created_at"]


async def test_a_paused_schedule_has_no_next_tick_until_it_is_resumed(api: httpx2.AsyncClient) -> None:
    before = (await put(api)).json()
    paused = (await api.post("/schedules/nightly/pause")).json()
    assert (paused["paused"], paused["next_at"], paused["next_ticks"]) == (True, None, [])
    assert (await api.post("/schedules/nightly/pause")).json() == paused
    resumed = (await api.post("/schedules/nightly/resume")).json()
    assert (resumed["paused"], resumed["paused_at"], resumed["next_ticks"]) == (False, None, before["next_ticks"])


async def test_a_trigger_makes_one_job_now_also_while_paused(working: httpx2.AsyncClient, app: Tidegate) -> None:
    await put(working, queue="high", tags=["nightly"])
    await working.post("/schedules/nightly/pause")
    response = await working.post("/schedules/nightly/trigger")
    assert response.status_code == 201, response.text
    job = await ended(app, response.json()["job_id"])
    assert (job.spec.user_id, job.spec.lane.queue, job.spec.tags) == ("ada", "high", ("nightly",))
    assert response.headers["location"] == f"/jobs/{job.id}"
    assert (await working.get(f"/jobs/{job.id}/result")).json()["text"] == "hi"
    assert (await shown(working))["last_tick"] is None


async def test_a_trigger_repeated_under_its_key_makes_no_second_job(api: httpx2.AsyncClient, app: Tidegate) -> None:
    await put(api)
    key = {"Idempotency-Key": "once"}
    first = await api.post("/schedules/nightly/trigger", headers=key)
    again = await api.post("/schedules/nightly/trigger", headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["job_id"] == first.json()["job_id"]
    assert len((await app.find(JobQuery())).jobs) == 1


async def test_a_tick_shows_as_the_last_one_with_its_job(api: httpx2.AsyncClient, app: Tidegate) -> None:
    known = (await put(api)).json()
    tick = datetime.fromisoformat(known["next_at"])
    await Crontab(app.system.runtime, FakeClock(tick).now).look()
    after = await shown(api)
    [job] = (await app.find(JobQuery())).jobs
    assert (after["last_tick"], after["last_job"], after["next_at"]) == (
        known["next_ticks"][0],
        job.id,
        known["next_ticks"][1],
    )
    assert job.spec.idempotency_key == tick_key("nightly", tick)


async def test_a_removed_schedule_is_gone_and_its_name_free(api: httpx2.AsyncClient) -> None:
    known = (await put(api)).json()
    removed = await api.delete("/schedules/nightly")
    assert (removed.status_code, removed.json()["name"]) == (200, known["name"])
    problem(await api.delete("/schedules/nightly"), 404, "not-found")
    assert (await api.get("/schedules")).json() == {"items": []}
    assert (await put(api)).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/trigger")],
)
async def test_another_user_s_schedule_is_unknown(method: str, path: str, api: httpx2.AsyncClient) -> None:
    await put(api)
    said = problem(await api.request(method, f"/schedules/nightly{path}", headers=BOB), 404, "not-found")
    assert "no schedule 'nightly'" in str(said["detail"])
    assert (await api.get("/schedules", headers=BOB)).json() == {"items": []}
    assert (await shown(api))["paused"] is False


async def test_two_users_may_use_one_name(api: httpx2.AsyncClient) -> None:
    await put(api)
    response = await api.put("/schedules/nightly", json={**NIGHTLY, "expression": "5 5 * * *"}, headers=BOB)
    assert response.status_code == 201
    assert (await shown(api))["expression"] == "0 3 * * *"
    bobs = await api.get("/schedules/nightly", headers=BOB)
    assert (bobs.json()["expression"], bobs.json()["user_id"]) == ("5 5 * * *", "bob")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"expression": "every day"}, "expression"),
        ({"expression": " "}, "expression"),
        ({"expression": "* * * * * *"}, "expression"),
        ({"expression": "0 0 31 2 *"}, "expression"),
        ({"expression": 5}, "expression"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"misfire": "never"}, "misfire"),
        ({"max_catch_up": 0}, "max_catch_up"),
        ({"max_catch_up": 1_001}, "max_catch_up"),
        ({"payload": {"text": 5}}, "payload.text"),
        ({"payload": {"unknown": 5}}, "payload.unknown"),
        ({"payload": {"text": "x" * 65_536}}, "payload"),
        ({"priority": 10}, "priority"),
        ({"queue": "No Queue"}, "queue"),
        ({"timeout": 0}, "timeout"),
        ({"retry": {"policy": "hope"}}, "retry.policy"),
        ({"tags": [""]}, "tags.0"),
        ({"run_at": "2026-01-01T00:00:00Z"}, "run_at"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    given: Mapping[str, object], field: str, api: httpx2.AsyncClient
) -> None:
    said = problem(await replaced(api, given), 422, "invalid-input")
    assert fields(said) == [field]
    assert (await api.get("/schedules")).json() == {"items": []}


@pytest.mark.parametrize("job_type", ["unheard", "tidegate.anything"])
async def test_a_job_type_that_nobody_may_submit_is_refused(job_type: str, shared: httpx2.AsyncClient) -> None:
    problem(await put(shared, type=job_type), 422, "unknown-job-type")


@pytest.mark.parametrize("name", ["A", "-x", "x" * 129, "a b", "%C3%A4"])
async def test_a_name_that_is_none_is_refused(name: str, shared: httpx2.AsyncClient) -> None:
    problem(await shared.put(f"/schedules/{name}", json=NIGHTLY), 422, "invalid-input")


async def test_a_body_that_is_no_object_or_no_json_is_refused(shared: httpx2.AsyncClient) -> None:
    problem(await shared.put("/schedules/x", json=[]), 422, "invalid-input")
    problem(await shared.put("/schedules/x", content=b"{"), 400, "malformed-json")
    plain = {"Content-Type": "text/plain"}
    problem(await shared.put("/schedules/x", content=b"x=1", headers=plain), 415, "unsupported-media-type")


async def test_a_user_has_no_more_than_so_many(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MOST_SCHEDULES", 2)
    for name in ("one", "two"):
        assert (await put(api, name)).status_code == 201
    problem(await put(api, "three"), 409, "refused")
    assert (await put(api, "two", expression="1 1 * * *")).status_code == 200
    assert (await api.put("/schedules/three", json=NIGHTLY, headers=BOB)).status_code == 201


async def test_what_code_declares_is_shown_and_held_but_not_replaced(app: Tidegate) -> None:
    @app.job("declared")
    async def declared() -> None:
        """Do nothing."""

    app.schedule("from-code", "0 3 * * *", declared, None, user_id="ada")
    async with reached(app, worker=False) as api:
        assert (await shown(api, "from-code"))["origin"] == "code"
        problem(await put(api, "from-code"), 409, "refused")
        assert (await api.post("/schedules/from-code/pause")).json()["paused"] is True


@pytest.mark.parametrize("store", STORES)
async def test_of_puts_that_race_for_the_last_place_none_goes_beyond(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_SCHEDULES", 5)
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=False) as api:
            await _race(api)


async def _race(api: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(put(api, f"s{number}") for number in range(30)))
    made = [response.json()["name"] for response in answers if response.status_code == 201]
    assert {response.status_code for response in answers} <= {201, 409}
    listed = (await api.get("/schedules")).json()["items"]
    assert sorted(one["name"] for one in listed) == sorted(made)
    assert len(made) <= 5
    later = [(await put(api, f"t{number}")).status_code for number in range(6)]
    assert later == [201] * (5 - len(made)) + [409] * (1 + len(made))


async def test_a_schedule_that_raced_in_vain_may_be_put_again_once_there_is_room(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_SCHEDULES", 1)
    await put(api, "one")
    problem(await put(api, "two"), 409, "refused")
    await api.delete("/schedules/one")
    assert (await put(api, "two")).status_code == 201


async def test_a_retired_schedule_says_so_and_its_name_may_be_taken(app: Tidegate) -> None:
    @app.job("declared")
    async def declared() -> None:
        """Do nothing."""

    app.schedule("from-code", "0 3 * * *", declared, None, user_id="ada")
    async with reached(app, worker=False) as api:
        tick = datetime.fromisoformat(str((await shown(api, "from-code"))["next_at"]))
        elsewhere = replace(app.system.runtime, declared=frozenset())
        await Crontab(elsewhere, FakeClock(tick + timedelta(minutes=2)).now).look()
        known = await shown(api, "from-code")
        assert (known["retired_at"] is None, known["next_at"], known["next_ticks"]) == (False, None, [])
        taken = await put(api, "from-code")
        assert (taken.status_code, taken.json()["origin"], taken.json()["retired_at"]) == (200, "api", None)
