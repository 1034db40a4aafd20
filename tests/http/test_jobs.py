"""Looking at jobs: one, its steps, and lists of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import get_args

import httpx2
import pytest

from tests.http.calls import ADA, BOB, ended, post, problem, run, stands
from tidegate.app import Tidegate
from tidegate.core.job import Phase, Status
from tidegate.core.waiting import FREE
from tidegate.http.requests.parameters import StatusWord

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


async def test_the_status_of_a_queued_job_says_why_it_waits(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    status = (await api.get(f"/jobs/{job_id}/status")).json()
    assert status.pop("created_at").endswith("Z")
    assert status == {
        "job_id": job_id,
        "status": "queued",
        "phase": "ready",
        "attempts": 0,
        "progress": None,
        "wait_reason": FREE,
        "wait_until": None,
        "retry_at": None,
        "result_path": None,
        "result_url": None,
        "error": None,
        "error_type": None,
        "error_message": None,
        "started_at": None,
        "finished_at": None,
        "timeout_at": None,
    }


async def test_the_status_of_a_scheduled_job_says_when_it_is_due(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, delay=3600)
    status = (await api.get(f"/jobs/{job_id}/status")).json()
    due = (await api.get(f"/jobs/{job_id}")).json()["run_at"]
    assert (status["status"], status["phase"]) == ("queued", "scheduled")
    assert status["wait_reason"] == f"it is due at {due[:19]}Z"


async def test_the_status_of_a_succeeded_job_leads_to_its_result(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, payload={"text": "hi"})
    status = (await working.get(f"/jobs/{job_id}/status")).json()
    assert (status["status"], status["phase"], status["attempts"]) == ("succeeded", "succeeded", 1)
    assert (status["error"], status["wait_reason"]) == (None, None)
    assert status["result_path"].startswith(f"jobs/{job_id}/1-")
    assert (await working.get(status["result_url"])).json()["text"] == "hi"
    started, finished = (datetime.fromisoformat(status[name]) for name in ("started_at", "finished_at"))
    assert timedelta(0) <= finished - started < timedelta(minutes=1)
    assert datetime.fromisoformat(status["timeout_at"]) - started == timedelta(seconds=600)


async def test_the_status_of_a_failed_job_says_what_went_wrong(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    status = (await working.get(f"/jobs/{job_id}/status")).json()
    assert (status["status"], status["phase"], status["attempts"]) == ("failed", "dead_letter", 1)
    assert (status["error"], status["error_message"]) == ("processing_error", "it is broken")
    assert status["result_url"] is None


async def test_the_status_of_a_retrying_job_says_when_it_runs_again(working: httpx2.AsyncClient) -> None:
    job_id = await post(working, "broken", retry={"policy": "steps", "delays": [3600]})
    status = await stands(working, job_id, "retrying")
    assert (status["status"], status["attempts"]) == ("queued", 1)
    assert status["wait_reason"] == f"it runs again at {str(status['retry_at'])[:19]}Z (processing_error)"
    assert status["error"] == "processing_error"


async def test_the_status_of_a_running_job_shows_its_progress(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(working, "endless")
    status = await stands(working, job_id, "running")
    async with asyncio.timeout(60):
        while status["progress"] is None:  # it is told with the next renewal of the lease
            await app.system.engine.wait([f"job:{job_id}"], timedelta(milliseconds=50))
            status = (await working.get(f"/jobs/{job_id}/status")).json()
    assert status["progress"] == {"fraction": 0.5, "message": "half way"}
    await working.post(f"/jobs/{job_id}/cancel")
    await ended(app, job_id)


async def test_a_whole_job_shows_what_was_sent_and_what_came_back(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, payload={"text": "hi"}, idempotency_key="k", tags=["t"], priority=2)
    job = (await working.get(f"/jobs/{job_id}")).json()
    assert (job["type"], job["user_id"], job["idempotency_key"]) == ("echo", "ada", "k")
    assert (job["payload"], job["result"]) == ({"text": "hi"}, {"text": "hi", "count": 0, "numbers": []})
    assert (job["queue"], job["upstream"], job["priority"], job["tags"]) == ("default", None, 2, ["t"])
    assert job["retry"] == {"policy": "steps", "delays": [1, 5, 30], "jitter": 0, "max_attempts": 3}
    assert (job["runs"], job["attempts"], job["max_attempts"], job["timeout"]) == (1, 1, 3, 600)
    assert datetime.fromisoformat(job["prune_at"]) > datetime.now(UTC)


async def test_history_tells_every_step(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "broken", max_attempts=1)
    history = (await working.get(f"/jobs/{job_id}/history")).json()
    steps = [(item["seq"], item["event"], item["run"], item["note"]) for item in history["items"]]
    assert steps == [(1, "submitted", 0, ""), (2, "claimed", 1, ""), (3, "failed", 1, "processing_error")]
    assert history["next"] is None
    rest = (await working.get(f"/jobs/{job_id}/history", params={"after": 2})).json()
    assert [item["event"] for item in rest["items"]] == ["failed"]


# lists -----------------------------------------------------------------------------------------------------


async def _ids(api: httpx2.AsyncClient, **query: str | int) -> list[str]:
    response = await api.get("/jobs", params=query)
    assert response.status_code == 200, response.text
    return [item["job_id"] for item in response.json()["items"]]


async def test_a_list_holds_ones_own_jobs_newest_first(api: httpx2.AsyncClient) -> None:
    mine = [await post(api) for _ in range(3)]
    await api.post("/jobs", json={"type": "echo"}, headers=BOB)
    page = (await api.get("/jobs")).json()
    assert [item["job_id"] for item in page["items"]] == mine[::-1]
    assert (page["total"], page["limit"], page["offset"], page["next"]) == (3, 50, 0, None)


async def test_a_list_can_be_read_by_offset(api: httpx2.AsyncClient) -> None:
    mine = [await post(api) for _ in range(5)]
    page = (await api.get("/jobs", params={"limit": 2, "offset": 2})).json()
    assert [item["job_id"] for item in page["items"]] == mine[::-1][2:4]
    assert (page["total"], page["limit"], page["offset"]) == (5, 2, 2)


async def test_a_list_can_be_read_by_cursor_while_jobs_come_in(api: httpx2.AsyncClient) -> None:
    mine = [await post(api) for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = (await api.get("/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["job_id"] for item in page["items"]]
        await post(api)
        if (cursor := page["next"]) is None:
            break
    assert seen == mine[::-1]


async def test_filters_narrow_alone_and_together(api: httpx2.AsyncClient) -> None:
    plain = await post(api)
    high = await post(api, queue="high", tags=["nightly"])
    later = await post(api, "nothing", delay=60, tags=["nightly"])
    dropped = await post(api)
    await api.post(f"/jobs/{dropped}/cancel")
    assert await _ids(api, type="nothing") == [later]
    assert await _ids(api, queue="high") == [high]
    assert await _ids(api, tag="nightly") == [later, high]
    assert await _ids(api, tag="nightly", queue="default") == [later]
    assert await _ids(api, upstream="openai") == []
    assert await _ids(api, status="queued") == [later, high, plain]
    assert await _ids(api, status="scheduled") == [later]
    assert await _ids(api, status="ready") == [high, plain]
    assert await _ids(api, status="cancelled") == [dropped]


async def test_dead_letters_are_found_by_status_and_by_their_error(working: httpx2.AsyncClient, app: Tidegate) -> None:
    dead, gone = [await run(working, app, "broken", max_attempts=1) for _ in range(2)]
    await working.post(f"/jobs/{gone}/dismiss")
    assert await _ids(working, status="dead_letter") == [dead]
    assert await _ids(working, status="failed") == [gone, dead]
    assert await _ids(working, error="IS BROKEN") == [gone, dead]
    assert await _ids(working, error="something else") == []


async def test_a_list_can_be_bounded_in_time(api: httpx2.AsyncClient) -> None:
    first, second = await post(api), await post(api)
    created = (await api.get(f"/jobs/{second}")).json()["created_at"]
    assert await _ids(api, created_from=created) == [second]
    assert await _ids(api, created_before=created) == [first]


async def test_every_status_and_every_phase_is_a_word_for_the_filter(api: httpx2.AsyncClient) -> None:
    words = get_args(StatusWord)
    assert set(words) == {*Status, *Phase}
    for word in words:
        await _ids(api, status=word)


# whose job it is -------------------------------------------------------------------------------------------

READS = ("", "/status", "/result", "/history", "/artifacts", "/artifacts/result.json")
ACTS = ("cancel", "retry", "dismiss")


async def test_another_users_job_is_as_unknown_as_one_that_never_was(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    theirs = await run(working, app)
    for job_id in (theirs, UNKNOWN, "no-id", "%2e%2e"):
        for path in READS:
            said = problem(await working.get(f"/jobs/{job_id}{path}", headers=BOB), 404, "job-not-found")
            assert said["detail"] == f"no job {httpx2.URL(f'http://x/{job_id}').path[1:]!r} is known here"
        for act in ACTS:
            problem(await working.post(f"/jobs/{job_id}/{act}", headers=BOB), 404, "job-not-found")
    assert (await working.get(f"/jobs/{theirs}/status")).json()["status"] == "succeeded"


@pytest.mark.parametrize("path", ["/jobs", *(f"/jobs/{UNKNOWN}{path}" for path in READS)])
async def test_nothing_is_shown_to_nobody(api: httpx2.AsyncClient, path: str) -> None:
    del api.headers["X-User-ID"]
    problem(await api.get(path), 400, "user-missing")
    assert (await api.get(path, headers=ADA)).status_code in (200, 404)
