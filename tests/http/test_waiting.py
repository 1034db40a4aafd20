"""Long polls: an answer once the job has ended, or the time is up."""

import asyncio
from datetime import timedelta
from itertools import repeat
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import BOB, fields, post, problem, run
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.http.streaming import Counted, finish, silent
from tests.worker.house import STORES, Watch, soon, url_of
from tidegate.app import Tidegate
from tidegate.errors import EngineUnavailable

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
WRONG = ["0", "-1", "60.5", "61", "x", "", "nan", "inf", "1_0", " 1", "1s", "١"]


@pytest.mark.parametrize("store", STORES)
async def test_a_status_is_told_once_the_job_has_ended(store: str, tmp_path: Path) -> None:
    async with url_of(store, tmp_path) as url:
        app = application(plain_settings(tmp_path / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=False) as api:
            job_id = await post(api)
            waiting = asyncio.create_task(api.get(f"/jobs/{job_id}/status", params={"wait": 60}))
            await asyncio.sleep(0.05)
            await finish(app, job_id)
            status = (await soon(waiting, within=10)).json()
            assert (status["status"], status["attempts"]) == ("succeeded", 1)


async def test_when_the_time_is_up_the_status_is_that_of_the_moment(api: httpx2.AsyncClient) -> None:
    job_id, watch = await post(api), Watch()
    assert (await api.get(f"/jobs/{job_id}/status", params={"wait": "0.2"})).json()["status"] == "queued"
    assert 0.2 <= watch.seconds < 5


async def test_who_makes_a_job_may_wait_for_it(working: httpx2.AsyncClient) -> None:
    made = await working.post("/jobs", params={"wait": 30}, json={"type": "echo", "idempotency_key": "k"})
    again = await working.post("/jobs", params={"wait": 30}, json={"type": "echo", "idempotency_key": "k"})
    assert (made.status_code, made.json()["status"]) == (201, "succeeded")
    assert (again.status_code, again.json()) == (200, made.json())


async def test_a_job_that_takes_longer_was_accepted_all_the_same(api: httpx2.AsyncClient) -> None:
    made = await api.post("/jobs", params={"wait": "0.05"}, json={"type": "echo"})
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    assert made.headers["location"] == f"/jobs/{made.json()['job_id']}"


async def test_who_waits_keeps_no_twin_waiting(api: httpx2.AsyncClient, app: Tidegate) -> None:
    asked = {"type": "echo", "idempotency_key": "k"}
    first = asyncio.create_task(api.post("/jobs", params={"wait": 60}, json=asked))
    await asyncio.sleep(0.05)
    twin = await soon(api.post("/jobs", json=asked))
    assert (twin.status_code, first.done()) == (200, False)
    await finish(app, twin.json()["job_id"])
    assert (await soon(first)).json()["status"] == "succeeded"


@pytest.mark.parametrize("wait", WRONG)
async def test_a_wait_that_makes_no_sense_is_refused_and_makes_no_job(api: httpx2.AsyncClient, wait: str) -> None:
    job_id = await post(api)
    asked = await api.get(f"/jobs/{job_id}/status", params={"wait": wait})
    assert fields(problem(asked, 422, "invalid-input")) == ["wait"]
    problem(await api.post("/jobs", params={"wait": wait}, json={"type": "echo"}), 422, "invalid-input")
    problem(await api.post("/jobs", params={"until": "1"}, json={"type": "echo"}), 422, "invalid-input")
    assert (await api.get("/jobs")).json()["total"] == 1


async def test_a_job_that_one_may_not_see_is_not_waited_for(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    problem(await soon(api.get(f"/jobs/{job_id}/status?wait=60", headers=BOB)), 404, "job-not-found")
    problem(await soon(api.get(f"/jobs/{UNKNOWN}/status?wait=60")), 404, "job-not-found")


async def test_a_job_that_has_ended_is_told_at_once(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app)
    assert (await soon(working.get(f"/jobs/{job_id}/status?wait=60"))).json()["status"] == "succeeded"


async def test_a_store_that_goes_away_takes_back_no_acceptance(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counted(app, "get", monkeypatch).fault = EngineUnavailable("away")
    made = await api.post("/jobs", params={"wait": 60}, json={"type": "echo"})
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    job_id = made.json()["job_id"]
    problem(await api.get(f"/jobs/{job_id}/status", params={"wait": 60}), 503, "store-unavailable")


async def test_who_leaves_is_waited_for_no_longer(
    server: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await post(server)
    looks = Counted(app, "get", monkeypatch)
    monkeypatch.setattr("tidegate.client.POLLS", (timedelta(seconds=0.02),))
    with pytest.raises(httpx2.ReadTimeout):
        await server.get(f"/jobs/{job_id}/status", params={"wait": 60}, timeout=0.1)
    with pytest.raises(httpx2.ReadTimeout):
        await server.post("/jobs", params={"wait": 60}, json={"type": "echo"}, timeout=0.1)
    assert looks.calls >= 2
    await silent(looks)


@pytest.mark.parametrize(
    ("setting", "user"), [("limit_waits_per_user", "ada"), ("limit_waits_per_address", "bob"), ("limit_waits", "bob")]
)
async def test_long_polls_are_bounded_and_counted_and_one_that_ends_makes_room(
    setting: str, user: str, tmp_path: Path
) -> None:
    app, headers = application(plain_settings(tmp_path).model_copy(update={setting: 2})), {"X-User-ID": user}
    async with reached(app, worker=False) as api:
        job_id = await post(api)
        path, theirs = f"/jobs/{job_id}/status", await _posted(api, headers)
        waiting = [asyncio.create_task(api.get(path, params={"wait": 60})) for _ in range(2)]
        assert await _lasting(api, 2)
        refused = await api.get(f"/jobs/{theirs}/status", params={"wait": 60}, headers=headers)
        problem(refused, 429, "rate-limited")
        assert refused.headers["retry-after"] == "10"
        assert (await api.get(f"/jobs/{theirs}/status", headers=headers)).status_code == 200
        made = await api.post("/jobs", params={"wait": 60}, json={"type": "echo"}, headers=headers)
        assert (made.status_code, made.json()["status"]) == (201, "queued")
        await finish(app, job_id)
        assert [(await soon(one, within=20)).status_code for one in waiting] == [200, 200]
        assert await _lasting(api, 0)
        again = await api.get(f"/jobs/{theirs}/status", params={"wait": "0.01"}, headers=headers)
        assert again.status_code == 200


async def test_another_user_s_long_polls_leave_room_for_mine(tmp_path: Path) -> None:
    app = application(plain_settings(tmp_path).model_copy(update={"limit_waits_per_user": 1}))
    async with reached(app, worker=False) as api:
        job_id, theirs = await post(api), await _posted(api, BOB)
        waiting = asyncio.create_task(api.get(f"/jobs/{theirs}/status", params={"wait": 60}, headers=BOB))
        assert await _lasting(api, 1)
        assert (await api.get(f"/jobs/{job_id}/status", params={"wait": "0.01"})).status_code == 200
        await app.client.cancel(theirs)
        assert (await soon(waiting, within=20)).json()["status"] == "cancelled"


async def _posted(api: httpx2.AsyncClient, headers: dict[str, str]) -> str:
    response = await api.post("/jobs", json={"type": "echo", "delay": 60}, headers=headers)
    return str(response.json()["job_id"])


async def _lasting(api: httpx2.AsyncClient, count: int) -> bool:
    """Whether the metrics tell so many long polls, soon."""
    async with asyncio.timeout(20):
        for pause in repeat(0.01):
            if f'tidegate_http_lasting{{kind="wait"}} {count:.1f}' in (await api.get("/metrics")).text:
                return True
            await asyncio.sleep(pause)
    return False
