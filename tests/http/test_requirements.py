"""What users asked of the API, row by row, in their order and by their letters, on every store that ships.

Rules run at a sixtieth of their times here; with the times that were asked for they are met in tests/e2e.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.http.calls import ADA, BOB, post, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import url_of
from tidegate.app import Tidegate
from tidegate.core.rules import API, scaled
from tidegate.upstreams import Policies

QUICK = {"policy": "steps", "delays": [0.01]}


class Provider:
    """What the job type `ask` calls."""

    status = 200
    calls = 0


class ProviderError(Exception):
    """What an HTTP client raises for a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status_code = status


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture(params=["sqlite", "valkey", "postgres"])
async def app(request: pytest.FixtureRequest, tmp_path: Path, provider: Provider) -> AsyncIterator[Tidegate]:
    async with url_of(request.param, tmp_path) as url:
        changes = {"engine": url, "poll": timedelta(seconds=0.1), "limit_user_per_hour": 60, "limit_ip_per_minute": 0}
        made = application(plain_settings(tmp_path / "data").model_copy(update=changes))
        made.upstream("provider", rules=scaled(API, 60))
        made.policies = Policies(
            upstreams=made.policies.upstreams,
            queues={name: scaled(rules, 60) for name, rules in made.policies.queues.items()},
        )

        @made.job("ask", upstream="provider")
        async def ask() -> str:
            provider.calls += 1
            if provider.status == 408:
                raise TimeoutError
            if provider.status != 200:
                raise ProviderError(provider.status)
            return "answered"

        yield made


@pytest.fixture
async def api(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    async with reached(app, worker=True) as client:
        yield client


async def _status(api: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.get(f"/jobs/{job_id}/status")).json()
    return answer


async def _until(api: httpx2.AsyncClient, job_id: str, *phases: str) -> dict[str, Any]:
    for pause in chain(repeat(0.02, 1_000), [0.0]):
        status = await _status(api, job_id)
        if status["phase"] in phases:
            return status
        await asyncio.sleep(pause)
    pytest.fail(f"{job_id} is in none of {phases}")


async def _ended(api: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    return await _until(api, job_id, "succeeded", "degraded", "dead_letter", "failed", "cancelled")


async def test_a1_a_post_is_answered_at_once_with_an_id_and_queued(api: httpx2.AsyncClient) -> None:
    body = {
        "type": "echo",
        "payload": {"text": "tide"},
        "idempotency_key": "k",
        "priority": 3,
        "delay": 60,
        "tags": ["a"],
    }
    made = await api.post("/jobs", json=body)
    said = made.json()
    assert (made.status_code, said["status"]) == (201, "queued")
    assert made.headers["location"] == f"/jobs/{said['job_id']}"


async def test_a2_the_status_tells_attempts_result_and_error_and_the_job_tells_all(api: httpx2.AsyncClient) -> None:
    good, bad = await post(api, payload={"text": "tide"}, idempotency_key="k"), await post(api, "broken", retry=QUICK)
    succeeded, failed = await _ended(api, good), await _ended(api, bad)
    assert (succeeded["status"], succeeded["attempts"], succeeded["error"]) == ("succeeded", 1, None)
    assert succeeded["result_path"]
    assert succeeded["result_url"] == f"/jobs/{good}/result"
    assert (failed["status"], failed["error"], failed["error_message"]) == (
        "failed",
        "processing_error",
        "it is broken",
    )
    assert all(succeeded[name] for name in ("created_at", "started_at", "finished_at", "timeout_at"))
    assert (await api.get(f"/jobs/{good}")).json()["idempotency_key"] == "k"


async def test_a3_cancelling_reaches_waiting_and_running_jobs_and_a_finished_one_is_409(
    api: httpx2.AsyncClient,
) -> None:
    waiting, running = await post(api, delay=60), await post(api, "endless")
    await _until(api, running, "running")
    for job_id in (waiting, running):
        assert (await api.post(f"/jobs/{job_id}/cancel")).status_code == 200
        assert (await _ended(api, job_id))["status"] == "cancelled"
        problem(await api.post(f"/jobs/{job_id}/cancel"), 409, "illegal-transition")


async def test_a4_one_key_is_one_job_also_for_twins_and_another_body_is_422(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "payload": {"text": "tide"}}
    twins = await asyncio.gather(*(api.post("/jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(8)))
    assert len({twin.json()["job_id"] for twin in twins}) == 1
    assert sorted(twin.status_code for twin in twins) == [200] * 7 + [201]
    other = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
    problem(other, 422, "idempotency-conflict")


async def test_a6_and_a7_results_are_kept_and_what_fails_for_good_is_a_dead_letter(api: httpx2.AsyncClient) -> None:
    good, bad = await post(api, payload={"text": "tide"}), await post(api, "broken", max_attempts=1)
    await _ended(api, good)
    assert (await api.get(f"/jobs/{good}/result")).json()["text"] == "tide"
    assert (await _ended(api, bad))["phase"] == "dead_letter"
    listed = (await api.get("/jobs", params={"status": "dead_letter"})).json()["items"]
    assert [job["job_id"] for job in listed] == [bad]


async def test_a8_the_default_is_three_attempts_1_5_and_30_s_apart(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, delay=60)
    job = (await api.get(f"/jobs/{job_id}")).json()
    assert (job["max_attempts"], job["retry"]["delays"]) == (3, [1.0, 5.0, 30.0])


async def test_a9_a_finished_job_is_kept_for_a_day_and_says_so(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    await _ended(api, job_id)
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
        ended = await _ended(api, job_id)
        assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
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
    assert ready["engine"]
    assert ready["durability"]
    assert ready["oldest_ready_age"] >= 0


async def test_b1_b2_and_b6_five_rate_limits_pause_a_queue_which_resumes_by_itself(api: httpx2.AsyncClient) -> None:
    async def tell(word: str) -> dict[str, Any]:
        await asyncio.sleep(0.02)  # those of one moment count as one
        answer: dict[str, Any] = (await api.post(f"/queues/content/{word}")).json()
        return answer

    for _ in range(4):
        assert not (await tell("rate-limit-errors"))["paused"]
    assert (await tell("successes"))["consecutive_errors"] == 0
    told = [await tell("rate-limit-errors") for _ in range(5)][-1]
    assert (told["paused"], told["consecutive_errors"]) == (True, 5)
    assert told["last_error_at"]
    assert told["paused_at"]
    assert told["resumes_at"]
    for _ in range(200):
        if not (await api.get("/queues/content")).json()["paused"]:
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("it did not resume")


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
    retrying = await _until(api, job_id, "retrying")
    wait = datetime.fromisoformat(retrying["retry_at"]) - datetime.now(UTC)
    assert (retrying["status"], retrying["attempts"]) == ("queued", 1)
    assert timedelta(seconds=20) < wait < timedelta(seconds=40)


async def test_d9_the_same_key_is_201_then_200(api: httpx2.AsyncClient) -> None:
    answers = [await api.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].headers["idempotent-replayed"] == "true"


async def test_d10_a_failed_job_runs_again_and_one_that_did_not_fail_is_409(api: httpx2.AsyncClient) -> None:
    bad, good = await post(api, "broken", max_attempts=1), await post(api)
    await _ended(api, bad)
    again = await api.post(f"/jobs/{bad}/retry")
    assert again.status_code == 200
    await _ended(api, bad)
    ended = (await api.get(f"/jobs/{bad}")).json()
    assert (ended["attempts"], ended["runs"]) == (1, 2)  # the first attempt is forgotten, its run is not
    await _ended(api, good)
    problem(await api.post(f"/jobs/{good}/retry"), 409, "illegal-transition")


async def test_d10_dead_letters_run_again_in_bulk(api: httpx2.AsyncClient) -> None:
    dead = [await post(api, "broken", max_attempts=1, tags=["night"]) for _ in range(3)]
    for job_id in dead:
        await _ended(api, job_id)
    wanted = {"action": "retry", "filter": {"status": "dead_letter", "tag": "night"}}
    assert (await api.post("/jobs/actions", json={**wanted, "dry_run": True})).json()["matches"] == 3
    begun = await api.post("/jobs/actions", json=wanted)
    assert begun.status_code == 202
    assert (await _ended(api, begun.json()["job_id"]))["status"] == "succeeded"
    for job_id in dead:
        assert (await api.get(f"/jobs/{job_id}")).json()["runs"] >= 1
        assert [step["event"] for step in (await api.get(f"/jobs/{job_id}/history")).json()["items"]].count(
            "revived"
        ) == 1


async def test_d12_metrics_are_json_or_for_prometheus(api: httpx2.AsyncClient) -> None:
    await _ended(api, await post(api))
    told = (await api.get("/metrics", headers={"Accept": "application/json"})).json()
    asked = (
        "total_jobs active_jobs completed_jobs failed_jobs dead_letter_jobs queue_length retry_queue_length dlq_length"
    )
    assert set(asked.split()) <= set(told)
    text = await api.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert "# TYPE tidegate_" in text.text


async def test_e5_a_run_past_its_timeout_fails_and_says_when_that_was(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "endless", timeout=0.3)
    ended = await _ended(api, job_id)
    ran = datetime.fromisoformat(ended["timeout_at"]) - datetime.fromisoformat(ended["started_at"])
    assert (ended["status"], ended["error"], ran) == ("failed", "timeout", timedelta(seconds=0.3))


async def test_e6_a_cancelled_job_has_no_result(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, "brief")
    await _until(api, job_id, "running")
    await api.post(f"/jobs/{job_id}/cancel")
    assert (await _ended(api, job_id))["result_path"] is None
    problem(await api.get(f"/jobs/{job_id}/result"), 409, "job-cancelled")


async def test_e8_an_upload_is_counted_while_it_comes_and_feeds_a_job(api: httpx2.AsyncClient) -> None:
    sent = await api.post("/uploads", content=b"a,b\n1,2\n", headers={"X-File-Name": "data.csv"})
    assert sent.status_code == 201
    job_id = await post(api, "measure", payload={"file": sent.json()["file"]})
    await _ended(api, job_id)
    assert (await api.get(f"/jobs/{job_id}/result")).json() == {"name": "data.csv", "size": 8}
    too_large = await api.post("/uploads", content=bytes(20 * 1024 * 1024 + 1), headers={"X-File-Name": "data.csv"})
    problem(too_large, 413, "upload-too-large")


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
    parked = await _until(api, job_id, "parked")
    assert parked["wait_reason"].startswith("provider was opened by ada until")
    assert parked["wait_until"]


async def test_nobody_elses_job_is_seen(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    for place in ("", "/status", "/history", "/result", "/usage", "/artifacts"):
        assert (await api.get(f"/jobs/{job_id}{place}", headers=BOB)).status_code == 404
    assert (await api.get("/jobs", headers=ADA)).json()["total"] == 1
    assert (await api.get("/jobs", headers=BOB)).json()["total"] == 0
