"""What users asked of the API, row by row, in their order and by their letters, on every store that ships."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.asked import COUNTS, QUICK, SALES, Provider, asking, ended, tell, until, until_paused
from tests.http.calls import ADA, BOB, post, problem
from tests.http.reach import plain_settings, reached
from tests.unit.telemetry.receiver import receiving
from tests.worker.house import url_of
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.jobs.analysis.job import analysis
from tidegate.telemetry import logs
from tidegate.telemetry.events import Emitter, UpstreamChanged
from tidegate.telemetry.sentry import configure_sentry

ROWS = re.findall(
    r"\w+", "A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A13 A16 B1 B2 B3 B4 B5 B6 D1 D3 D8 D9 D10 D12 D13 E5 E6 E7 E8 E9 E10 E11"
)
"""Every row that speaks of the API, in the order of the letters."""


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture(params=["sqlite", "valkey", "postgres"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Settings]:
    async with url_of(request.param, tmp_path) as url:
        changes = {"engine": url, "poll": timedelta(seconds=0.1), "grace": timedelta(seconds=0.2)}
        yield plain_settings(tmp_path / "data").model_copy(update=changes | {"limit_user_per_hour": 60})


@pytest.fixture
def app(settings: Settings, provider: Provider) -> Tidegate:
    return asking(settings, provider)


@pytest.fixture
async def api(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    async with reached(app, worker=True) as client:
        yield client


def test_no_row_is_missing_and_they_are_in_order() -> None:
    named = [re.match(r"test_([a-e]\d+)_", name) for name in globals()]
    assert list(dict.fromkeys(found[1].upper() for found in named if found)) == ROWS


async def test_a1_a_post_is_answered_at_once_with_an_id_and_queued(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "payload": {"text": "tide"}, "idempotency_key": "k"}
    made = await api.post("/jobs", json={**body, "priority": 3, "delay": 60, "tags": ["a"]})
    said = made.json()
    assert (made.status_code, said["status"]) == (201, "queued")
    assert made.headers["location"] == f"/jobs/{said['job_id']}"


async def test_a2_the_status_tells_attempts_result_and_error_and_the_job_tells_all(api: httpx2.AsyncClient) -> None:
    good, bad = await post(api, payload={"text": "tide"}, idempotency_key="k"), await post(api, "broken", retry=QUICK)
    succeeded, failed = await ended(api, good), await ended(api, bad)
    assert (succeeded["status"], succeeded["attempts"], succeeded["error"]) == ("succeeded", 1, None)
    assert succeeded["result_path"]
    assert succeeded["result_url"] == f"/jobs/{good}/result"
    assert (failed["status"], failed["error"]) == ("failed", "processing_error")
    assert failed["error_message"] == "it is broken"
    assert all(succeeded[name] for name in ("created_at", "started_at", "finished_at", "timeout_at"))
    assert (await api.get(f"/jobs/{good}")).json()["idempotency_key"] == "k"


async def test_a3_cancelling_reaches_waiting_and_running_jobs_and_a_finished_one_is_409(
    api: httpx2.AsyncClient,
) -> None:
    waiting, running = await post(api, delay=60), await post(api, "endless")
    await until(api, running, "running")
    for job_id in (waiting, running):
        assert (await api.post(f"/jobs/{job_id}/cancel")).status_code == 200
        assert (await ended(api, job_id))["status"] == "cancelled"
        problem(await api.post(f"/jobs/{job_id}/cancel"), 409, "illegal-transition")


async def test_a4_one_key_is_one_job_also_for_twins_and_another_body_is_422(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "payload": {"text": "tide"}}
    twins = await asyncio.gather(*(api.post("/jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(8)))
    assert len({twin.json()["job_id"] for twin in twins}) == 1
    assert sorted(twin.status_code for twin in twins) == [200] * 7 + [201]
    other = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
    problem(other, 422, "idempotency-conflict")


async def test_a5_a_server_runs_jobs_itself_and_leaves_them_to_workers_that_run_apart(app: Tidegate) -> None:
    async with reached(app, worker=True) as api:
        assert (await ended(api, await post(api)))["status"] == "succeeded"
    async with reached(app, worker=False) as api:
        job_id = await post(api)
        assert (await api.get("/readyz")).json()["workers"] == 0
        worker = app.system.worker()
        await worker.start()
        assert (await ended(api, job_id))["status"] == "succeeded"
        await worker.stop()


async def test_a6_a_result_is_in_the_artifact_store_where_the_job_says(api: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await post(api, payload={"text": "tide"})
    path = (await ended(api, job_id))["result_path"]
    assert (await api.get(f"/jobs/{job_id}/result")).json()["text"] == "tide"
    assert json.loads(await app.system.artifacts.get(path, max_bytes=1_000))["text"] == "tide"


async def test_a7_what_succeeds_has_a_result_and_what_fails_for_good_is_a_dead_letter(api: httpx2.AsyncClient) -> None:
    good, bad = await post(api), await post(api, "broken", max_attempts=1)
    assert (await ended(api, good))["result_path"]
    failed = await ended(api, bad)
    assert (failed["status"], failed["phase"], failed["result_path"]) == ("failed", "dead_letter", None)
    listed = (await api.get("/jobs", params={"status": "dead_letter"})).json()["items"]
    assert [job["job_id"] for job in listed] == [bad]


async def test_a8_the_default_is_three_attempts_1_5_and_30_s_apart(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, delay=60)
    job = (await api.get(f"/jobs/{job_id}")).json()
    assert (job["max_attempts"], job["retry"]["delays"]) == (3, [1.0, 5.0, 30.0])


async def test_a9_a_finished_job_is_kept_for_a_day_and_says_so(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    await ended(api, job_id)
    job = (await api.get(f"/jobs/{job_id}")).json()
    kept = datetime.fromisoformat(job["prune_at"]) - datetime.fromisoformat(job["finished_at"])
    assert kept == timedelta(hours=24)


@pytest.mark.parametrize("status", [500, 429, 408])
async def test_a10_six_faults_refuse_new_jobs_one_probe_closes_and_no_job_is_hurt(
    api: httpx2.AsyncClient, provider: Provider, status: int
) -> None:
    provider.status = status
    jobs = [await post(api, "ask") for _ in range(3)]  # any more may be refused at once
    async with asyncio.timeout(10):
        while (refused := await api.post("/jobs", json={"type": "ask"})).status_code == 201:
            jobs.append(refused.json()["job_id"])
            await asyncio.sleep(0.02)
    assert problem(refused, 429, "upstream-open")["error"] == "temporarily unavailable"
    assert int(refused.headers["retry-after"]) >= 1
    assert (await api.get("/upstreams/provider")).json()["state"] in ("open", "half_open")
    provider.status = 200
    for job_id in jobs:
        seen = await ended(api, job_id)
        assert (seen["status"], seen["attempts"]) == ("succeeded", 1)
    assert (await api.get("/upstreams/provider")).json()["state"] == "closed"


async def test_a13_no_user_is_400_the_61st_job_in_an_hour_429_and_a_large_payload_413(
    api: httpx2.AsyncClient,
) -> None:
    bare = await api.post("/jobs", json={"type": "echo"}, headers={"X-User-ID": ""})
    problem(bare, 400, "user-missing")
    large = {"type": "echo", "payload": {"text": "x" * 1_048_577}}
    problem(await api.post("/jobs", json=large), 413, "too-large")
    made = await asyncio.gather(*(api.post("/jobs", json={"type": "echo", "delay": 60}) for _ in range(61)))
    assert sorted(answer.status_code for answer in made) == [201] * 60 + [429]
    assert (await api.post("/jobs", json={"type": "echo"}, headers=BOB)).status_code == 201
    problem(await api.get(f"/jobs/{made[0].json().get('job_id')}", headers=BOB), 404, "job-not-found")


async def test_a16_readiness_looks_at_engine_artifacts_and_the_oldest_job(api: httpx2.AsyncClient) -> None:
    ready = (await api.get("/readyz")).json()
    assert (ready["status"], ready["artifacts"]) == ("ready", "ok")
    assert all(ready[name] for name in ("engine", "durability"))
    assert ready["oldest_ready_age"] >= 0


async def test_b1_five_rate_limits_in_a_row_pause_a_queue_whoever_says_so(api: httpx2.AsyncClient) -> None:
    jobs = list[str]()
    while not (await api.get("/queues/content")).json()["paused"]:
        assert len(jobs) < 60
        jobs.append(await post(api, "limited"))
        await asyncio.sleep(0.05)
    assert len(jobs) >= 5
    for job_id in jobs:
        assert (await until(api, job_id, "paused", "retrying", "ready", "scheduled", "parked"))["attempts"] == 0


async def test_b2_a_paused_queue_resumes_by_itself(api: httpx2.AsyncClient) -> None:
    assert (await tell(api, "rate-limit-errors", 5))["paused"]
    await until_paused(api, paused=False)


async def test_b3_a_success_resets_the_count(api: httpx2.AsyncClient) -> None:
    assert (await tell(api, "rate-limit-errors", 4))["consecutive_errors"] == 4
    assert (await tell(api, "successes"))["consecutive_errors"] == 0
    assert not (await tell(api, "rate-limit-errors", 4))["paused"]


async def test_b4_sentry_is_warned_of_a_queue_that_was_paused(app: Tidegate) -> None:
    with receiving() as sentry:
        listener = configure_sentry(sentry.dsn, "test", "tidegate@1")
        app.emit.subscribe(listener, {UpstreamChanged})
        async with reached(app, worker=False) as api:
            await tell(api, "rate-limit-errors", 5)
        listener.close(timedelta(seconds=10))
    assert [(one["level"], one["message"]) for one in sentry.events()] == [("warning", "queue content was paused")]


async def test_b5_every_change_is_logged_and_the_queue_says_when_and_why(app: Tidegate) -> None:
    written = io.StringIO()
    app.emit.subscribe(logs.configure("info", written, json=True), {UpstreamChanged})
    async with reached(app, worker=False) as api:
        paused = await tell(api, "rate-limit-errors", 5)
        assert "5 rate limits" in paused["why"]
        await api.post("/queues/content/resume")
        told = (await api.get("/queues/content/history")).json()["items"]
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
    changes = [line["to"] for line in lines if line["event"] == "upstream.changed"]
    assert (changes[0], changes[-1]) == ("open", "closed")
    assert ([change["to"] for change in reversed(told)], "5 rate limits" in told[-1]["why"]) == (changes, True)


async def test_b6_a_queue_is_told_of_errors_and_successes_and_tells_how_it_stands(api: httpx2.AsyncClient) -> None:
    told = await tell(api, "rate-limit-errors", 5)
    assert (told["paused"], told["consecutive_errors"]) == (True, 5)
    assert all(told[name] for name in ("last_error_at", "paused_at", "resumes_at"))
    assert (await tell(api, "successes"))["name"] == "content"


async def test_d1_health_is_ok(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_d3_unknown_jobs_are_404_unknown_types_422_and_lists_have_pages(api: httpx2.AsyncClient) -> None:
    problem(await api.get("/jobs/01890a5d-ac96-774b-bcce-b302099a8057"), 404, "job-not-found")
    problem(await api.post("/jobs", json={"type": "nobody"}), 422, "unknown-job-type")
    made = [await post(api, delay=60, tags=[f"n{number % 2}"]) for number in range(5)]
    page = (await api.get("/jobs", params={"limit": 2, "offset": 1})).json()
    assert ([job["job_id"] for job in page["items"]], page["total"]) == ([made[3], made[2]], 5)
    assert (page["limit"], page["offset"]) == (2, 1)
    found: list[str] = []
    cursor: str | None = None
    while cursor is not None or not found:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        page = (await api.get("/jobs", params={"limit": 2, "tag": "n0", **more})).json()
        found += [job["job_id"] for job in page["items"]]
        cursor = page["next"]
    assert found == [made[4], made[2], made[0]]


async def test_d8_a_retry_is_seen_waiting_and_told_when(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "broken", retry={"policy": "exponential", "initial": 30, "factor": 2})
    retrying = await until(api, job_id, "retrying")
    wait = datetime.fromisoformat(retrying["retry_at"]) - datetime.now(UTC)
    assert (retrying["status"], retrying["attempts"]) == ("queued", 1)
    assert timedelta(seconds=20) < wait < timedelta(seconds=40)


async def test_d9_the_same_key_is_201_then_200(api: httpx2.AsyncClient) -> None:
    answers = [await api.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].headers["idempotent-replayed"] == "true"


async def test_d10_a_failed_job_runs_again_and_one_that_did_not_fail_is_409(api: httpx2.AsyncClient) -> None:
    bad, good = await post(api, "broken", max_attempts=1), await post(api)
    await ended(api, bad)
    again = await api.post(f"/jobs/{bad}/retry")
    assert again.status_code == 200
    await ended(api, bad)
    seen = (await api.get(f"/jobs/{bad}")).json()
    assert (seen["attempts"], seen["runs"]) == (1, 2)  # the first attempt is forgotten, its run is not
    await ended(api, good)
    problem(await api.post(f"/jobs/{good}/retry"), 409, "illegal-transition")


async def test_d10_dead_letters_run_again_in_bulk(api: httpx2.AsyncClient) -> None:
    dead = [await post(api, "broken", max_attempts=1, tags=["night"]) for _ in range(3)]
    for job_id in dead:
        await ended(api, job_id)
    wanted = {"action": "retry", "filter": {"status": "dead_letter", "tag": "night"}}
    assert (await api.post("/jobs/actions", json={**wanted, "dry_run": True})).json()["matches"] == 3
    begun = await api.post("/jobs/actions", json=wanted)
    assert begun.status_code == 202
    assert (await ended(api, begun.json()["job_id"]))["status"] == "succeeded"
    for job_id in dead:
        assert (await api.get(f"/jobs/{job_id}")).json()["runs"] >= 1
        steps = (await api.get(f"/jobs/{job_id}/history")).json()["items"]
        assert [step["event"] for step in steps].count("revived") == 1


async def test_d12_metrics_are_json_or_for_prometheus(api: httpx2.AsyncClient) -> None:
    await ended(api, await post(api))
    told = (await api.get("/metrics", headers={"Accept": "application/json"})).json()
    assert set(told) >= COUNTS
    text = await api.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert "# TYPE tidegate_" in text.text


async def test_d13_an_address_may_post_so_often_in_a_minute_and_looks_are_free(
    app: Tidegate, settings: Settings
) -> None:
    app.configured(settings.model_copy(update={"limit_ip_per_minute": 3}), Emitter())
    async with reached(app, worker=False) as api:
        answers = [await api.post("/jobs", json={"type": "echo"}, headers=who) for who in (ADA, BOB, ADA, BOB)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        assert {(await api.get("/jobs")).status_code for _ in range(5)} == {200}


async def test_e5_a_run_past_its_timeout_fails_and_says_when_that_was(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "endless", timeout=0.3)
    late = await ended(api, job_id)
    ran = datetime.fromisoformat(late["timeout_at"]) - datetime.fromisoformat(late["started_at"])
    assert (late["status"], late["error"], ran) == ("failed", "timeout", timedelta(seconds=0.3))


async def test_e6_a_cancelled_job_has_no_result(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "brief")
    await until(api, job_id, "running")
    await api.post(f"/jobs/{job_id}/cancel")
    assert (await ended(api, job_id))["result_path"] is None
    problem(await api.get(f"/jobs/{job_id}/result"), 409, "job-cancelled")


async def test_e7_a_failure_leaves_an_error_json_that_says_why(api: httpx2.AsyncClient) -> None:
    late, bad = await post(api, "endless", timeout=0.3), await post(api, "broken", max_attempts=1)
    for job_id, code in ((late, "timeout"), (bad, "processing_error")):
        await ended(api, job_id)
        [listed] = (await api.get(f"/jobs/{job_id}/artifacts")).json()["items"]
        assert listed["path"] == "error.json"
        error = (await api.get(f"/jobs/{job_id}/artifacts/error.json")).json()
        assert (error["job_id"], error["status"], error["error"]) == (job_id, "failed", code)
        assert error["message"]
        assert datetime.fromisoformat(error["timestamp"]) <= datetime.now(UTC)


async def test_e8_an_upload_is_counted_while_it_comes_and_feeds_a_job(api: httpx2.AsyncClient) -> None:
    sent = await api.post("/uploads", content=b"a,b\n1,2\n", headers={"X-File-Name": "data.csv"})
    assert sent.status_code == 201
    job_id = await post(api, "measure", payload={"file": sent.json()["file"]})
    await ended(api, job_id)
    assert (await api.get(f"/jobs/{job_id}/result")).json() == {"name": "data.csv", "size": 8}
    too_large = await api.post("/uploads", content=bytes(20 * 1024 * 1024 + 1), headers={"X-File-Name": "data.csv"})
    problem(too_large, 413, "upload-too-large")


async def test_e9_an_upload_is_analysed_to_kpis_and_insights(app: Tidegate) -> None:
    app.registry.add("analysis", analysis, {"files": ("file",), "cpu": True})
    async with reached(app, worker=True) as api:
        sent = await api.post("/uploads", content=SALES, headers={"X-File-Name": "sales.csv"})
        job_id = await post(api, "analysis", payload={"file": sent.json()["file"]})
        assert (await ended(api, job_id))["status"] == "succeeded"
        result = (await api.get(f"/jobs/{job_id}/result")).json()
        assert result["kpis"]
        assert result["insights"]
        assert "result.json" in [item["path"] for item in (await api.get(f"/jobs/{job_id}/artifacts")).json()["items"]]


async def test_e10_a_server_that_is_stopped_gives_its_running_job_back_and_no_attempt_is_used(app: Tidegate) -> None:
    async with reached(app, worker=True) as api:
        job_id = await post(api, "endless")
        await until(api, job_id, "running")
    async with reached(app, worker=False) as api:
        job = (await api.get(f"/jobs/{job_id}")).json()
        assert (job["status"], job["attempts"], job["interruptions"]) == ("queued", 0, 1)
    async with reached(app, worker=True) as api:
        assert (await until(api, job_id, "running"))["attempts"] == 1


async def test_e11_nobody_need_poll(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "brief")
    assert (await api.get(f"/jobs/{job_id}/status", params={"wait": 30})).json()["status"] == "succeeded"
    done = await api.post("/jobs", params={"wait": 30}, json={"type": "echo"})
    assert (done.status_code, done.json()["status"]) == (201, "succeeded")
    told = (await api.get(f"/jobs/{job_id}/events")).text
    assert [line for line in told.splitlines() if line.startswith("event: ")][-1] == "event: succeeded"


async def test_every_waiting_job_says_why_and_until_when(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "ask", delay=1)  # accepted before its upstream is shut
    await api.put("/upstreams/provider/override", json={"state": "open", "seconds": 600})
    parked = await until(api, job_id, "parked")
    assert parked["wait_reason"].startswith("provider was opened by ada until")
    assert parked["wait_until"]


async def test_nobody_elses_job_is_seen(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    for place in ("", "/status", "/history", "/result", "/usage", "/artifacts"):
        assert (await api.get(f"/jobs/{job_id}{place}", headers=BOB)).status_code == 404
    assert (await api.get("/jobs", headers=ADA)).json()["total"] == 1
    assert (await api.get("/jobs", headers=BOB)).json()["total"] == 0
