"""`POST /jobs/actions`: a job of Tidegate's own acts on every job that fits a filter."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.http.calls import BOB, ended, fields, post, problem, run
from tidegate.app import Tidegate
from tidegate.core.job import JobId, Status
from tidegate.errors import EngineUnavailable
from tidegate.http.routes.bulk_actions import RETRIES_PER_SECOND


async def _act(
    api: httpx2.AsyncClient, action: str, headers: dict[str, str] | None = None, **more: object
) -> httpx2.Response:
    return await api.post("/jobs/actions", json={"action": action, **more}, headers=headers or {})


async def _dead(api: httpx2.AsyncClient, app: Tidegate, count: int, **fields: object) -> list[str]:
    return [await run(api, app, "broken", max_attempts=1, **fields) for _ in range(count)]


async def _result(api: httpx2.AsyncClient, app: Tidegate, response: httpx2.Response) -> dict[str, object]:
    """What the job that was accepted came to."""
    assert response.status_code == 202, response.text
    job_id = response.json()["job_id"]
    job = await ended(app, job_id)
    assert job.status is Status.SUCCEEDED, job.error
    made: dict[str, object] = (await api.get(f"/jobs/{job_id}/result")).json()
    return made


async def test_the_answer_is_a_job_that_tells_how_far_it_is(working: httpx2.AsyncClient, app: Tidegate) -> None:
    dead = await _dead(working, app, 3)
    alive = await run(working, app)
    response = await _act(working, "dismiss", filter={"status": "dead_letter", "type": "broken"})
    job_id = response.json()["job_id"]
    assert response.headers["location"] == f"/jobs/{job_id}"
    assert response.json() == {"job_id": job_id, "status": "queued", "status_url": f"/jobs/{job_id}/status"}
    assert await _result(working, app, response) == {
        "matched": 3,
        "applied": 3,
        "refused": {"illegal": 0, "unknown": 0},
    }
    phases = [(await working.get(f"/jobs/{one}/status")).json()["phase"] for one in (*dead, alive)]
    assert phases == ["failed"] * 3 + ["succeeded"]
    status = (await working.get(f"/jobs/{job_id}/status")).json()
    assert (status["phase"], status["progress"]["fraction"]) == ("succeeded", 1.0)


async def test_retried_jobs_run_again(working: httpx2.AsyncClient, app: Tidegate) -> None:
    [job_id] = await _dead(working, app, 1)
    made = await _result(working, app, await _act(working, "retry", filter={"error": "BROKEN"}))
    assert made["applied"] == 1
    assert (await ended(app, job_id)).counters.runs == 2


async def test_a_dry_run_counts_and_changes_nothing(working: httpx2.AsyncClient, app: Tidegate) -> None:
    dead = await _dead(working, app, 2, tags=["eu"])
    await _dead(working, app, 1)
    response = await _act(working, "retry", filter={"tag": "eu"}, dry_run=True)
    assert response.status_code == 200
    assert response.json() == {"action": "retry", "matches": 2, "exact": True, "sample": dead[::-1]}
    assert (await working.get("/jobs", params={"status": "dead_letter"})).json()["total"] == 3


async def test_without_a_status_retry_means_dead_letters_and_cancel_what_has_not_ended(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    waiting = [await post(api) for _ in range(2)]
    cancelled = await post(api)
    await api.post(f"/jobs/{cancelled}/cancel")
    found = (await _act(api, "cancel", all=True, dry_run=True)).json()
    assert (found["matches"], found["sample"]) == (2, waiting[::-1])
    assert (await _act(api, "retry", all=True, dry_run=True)).json()["matches"] == 0
    asked = {"status": "cancelled"}
    assert (await _act(api, "retry", filter=asked, dry_run=True)).json()["sample"] == [cancelled]


async def test_other_users_jobs_are_not_touched(working: httpx2.AsyncClient, app: Tidegate) -> None:
    theirs = (await working.post("/jobs", json={"type": "echo", "delay": 600}, headers=BOB)).json()["job_id"]
    mine = await post(working, delay=600)
    made = await _result(working, app, await _act(working, "cancel", all=True))
    assert made["applied"] == 1
    jobs = await app.system.engine.get([JobId(mine), JobId(theirs)])
    assert [job.status for job in jobs if job is not None] == [Status.CANCELLED, Status.QUEUED]


async def test_the_job_is_its_author_s(api: httpx2.AsyncClient) -> None:
    response = await _act(api, "cancel", all=True)
    place = response.headers["location"]
    assert (await api.get(place)).json()["user_id"] == "ada"
    problem(await api.get(place, headers=BOB), 404, "job-not-found")


async def test_what_the_job_shall_do_is_kept_with_the_instant_of_the_request(api: httpx2.AsyncClient) -> None:
    before = datetime.now(UTC)
    response = await _act(api, "retry", filter={"type": "echo", "created_from": "2026-01-01T00:00:00Z"}, limit=7)
    payload = (await api.get(response.headers["location"])).json()["payload"]
    assert (payload["action"], payload["limit"], payload["per_second"]) == ("retry", 7, RETRIES_PER_SECOND)
    assert (payload["where"]["type"], payload["where"]["user_id"]) == ("echo", "ada")
    until = datetime.fromisoformat(payload["before"])
    assert abs(until - before) < timedelta(seconds=5)


async def test_only_retries_have_a_pace_unless_one_is_asked_for(api: httpx2.AsyncClient) -> None:
    paces = []
    for action, pace in (("cancel", None), ("dismiss", 3), ("retry", 500)):
        response = await _act(api, action, all=True, per_second=pace)
        paces.append((await api.get(response.headers["location"])).json()["payload"]["per_second"])
    assert paces == [None, 3.0, 500.0]


# what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "delete", "all": True}, "action"),
        ({"action": "retry"}, "filter"),
        ({"action": "retry", "filter": {}}, "filter"),
        ({"action": "retry", "filter": {"type": None}}, "filter"),
        ({"action": "retry", "filter": {"user": "*"}}, "filter"),
        ({"action": "retry", "filter": {"type": "echo"}, "all": True}, "all"),
        ({"action": "retry", "filter": {"colour": "red"}}, "filter.colour"),
        ({"action": "retry", "filter": {"status": "done"}}, "filter.status"),
        ({"action": "retry", "filter": {"created_from": "yesterday"}}, "filter.created_from"),
        ({"action": "retry", "filter": {"limit": 5}}, "filter.limit"),
        ({"action": "cancel", "filter": {"type": "tidegate.bulk"}}, "filter.type"),
        ({"action": "retry", "all": "true"}, "all"),
        ({"action": "retry", "all": True, "dry_run": 1}, "dry_run"),
        ({"action": "retry", "all": True, "per_second": 0}, "per_second"),
        ({"action": "retry", "all": True, "limit": 0}, "limit"),
        ({"action": "retry", "all": True, "idempotency_key": ""}, "idempotency_key"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    shared: httpx2.AsyncClient, body: dict[str, object], field: str
) -> None:
    assert fields(problem(await shared.post("/jobs/actions", json=body), 422, "invalid-input")) == [field]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_key_that_is_none_is_refused(shared: httpx2.AsyncClient, dry_run: bool) -> None:
    response = await _act(shared, "retry", {"Idempotency-Key": "k" * 256}, all=True, dry_run=dry_run)
    assert fields(problem(response, 422, "invalid-input")) == ["idempotency_key"]


async def test_json_is_read_strictly(shared: httpx2.AsyncClient) -> None:
    body = b'{"action": "retry", "all": true, "all": true}'
    problem(await shared.post("/jobs/actions", content=body), 400, "malformed-json")


async def test_our_own_job_types_can_t_be_submitted(shared: httpx2.AsyncClient) -> None:
    body = {"type": "tidegate.bulk", "payload": {"action": "cancel"}}
    problem(await shared.post("/jobs", json=body), 422, "unknown-job-type")
    assert "tidegate.bulk" not in (await shared.get("/job-types")).text


# keys and limits -------------------------------------------------------------------------------------------


async def test_a_repeat_is_answered_with_the_same_job(api: httpx2.AsyncClient) -> None:
    first = await _act(api, "cancel", all=True, idempotency_key="k")
    again = await _act(api, "cancel", all=True, idempotency_key="k")
    header = await _act(api, "cancel", {"Idempotency-Key": "k"}, all=True)
    assert [answer.status_code for answer in (first, again, header)] == [202, 200, 200]
    assert len({answer.json()["job_id"] for answer in (first, again, header)}) == 1
    assert (again.headers["idempotent-replayed"], again.headers["location"]) == ("true", first.headers["location"])


async def test_another_request_under_a_key_is_refused(api: httpx2.AsyncClient) -> None:
    first = (await _act(api, "cancel", all=True, idempotency_key="k")).json()["job_id"]
    response = await _act(api, "retry", all=True, idempotency_key="k")
    assert problem(response, 422, "idempotency-conflict")["job_id"] == first


async def test_an_action_is_one_post_and_a_repeat_is_none(api: httpx2.AsyncClient, app: Tidegate) -> None:
    narrow = app.system.settings.model_copy(update={"limit_ip_per_minute": 2})
    object.__setattr__(app.system, "settings", narrow)
    for _ in range(4):
        assert (await _act(api, "cancel", all=True, idempotency_key="k")).status_code in (200, 202)
    assert (await _act(api, "cancel", all=True, dry_run=True)).status_code == 200
    problem(await _act(api, "cancel", all=True), 429, "rate-limited")
    problem(await _act(api, "cancel", all=True, dry_run=True), 429, "rate-limited")


async def test_what_the_store_refuses_or_made_before_costs_nothing(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = app.system.settings.model_copy(update={"limit_ip_per_minute": 2})
    object.__setattr__(app.system, "settings", narrow)

    async def away(_: object) -> None:
        raise EngineUnavailable("the store is away")

    async def unknown(_: object) -> None:
        return None

    with monkeypatch.context() as patch:
        patch.setattr(app.system.engine, "submit", away)
        problem(await _act(api, "cancel", all=True, idempotency_key="k"), 503, "store-unavailable")
    assert (await _act(api, "cancel", all=True, idempotency_key="k")).status_code == 202
    with monkeypatch.context() as patch:
        patch.setattr(app.system.client.intake, "replayed", unknown)  # as if its twin had come only just now
        assert (await _act(api, "cancel", all=True, idempotency_key="k")).status_code == 200
    assert (await _act(api, "cancel", all=True)).status_code == 202
    problem(await _act(api, "cancel", all=True), 429, "rate-limited")
