"""`/health` and `/readyz`."""

from datetime import timedelta

import httpx2
import pytest

from tests.http.calls import post
from tidegate.app import Tidegate
from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo
from tidegate.http.watching.meter import Meter


async def test_the_process_says_that_it_answers(api: httpx2.AsyncClient) -> None:
    response = await api.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_readiness_tells_of_engine_artifacts_and_the_oldest_ready_job(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/readyz")).json() == {
        "status": "ready",
        "engine": "memory",
        "engine_version": "1",
        "schema_version": "1",
        "durability": "none",
        "artifacts": "ok",
        "oldest_ready_age": 0,
        "workers": 0,
        "warnings": [],
    }
    await post(api)
    await post(api)
    assert 0 < (await api.get("/readyz")).json()["oldest_ready_age"] < 60


async def test_readiness_warns_of_jobs_that_no_worker_serves(api: httpx2.AsyncClient, app: Tidegate) -> None:
    for queue in ("low", "default", "default"):
        await post(api, queue=queue)
    warnings = [
        "no worker serves queue 'default', where jobs wait: 2",
        "no worker serves queue 'low', where jobs wait: 1",
    ]
    assert (await api.get("/readyz")).json()["warnings"] == warnings
    now = app.system.clock.now()
    worker = WorkerInfo(owner=Owner("w"), host="h", pid=7, started_at=now, version="1", slots=1, queues=("default",))
    await app.system.engine.announce(worker, timedelta(seconds=60))
    ready = (await api.get("/readyz")).json()
    assert (ready["status"], ready["workers"], ready["warnings"]) == ("ready", 1, warnings[1:])


async def test_readiness_names_no_queue_that_a_client_made_up_and_counts_those(api: httpx2.AsyncClient) -> None:
    await post(api, queue="low")
    for number in range(12):
        await post(api, queue=f"q{number}")
    assert (await api.get("/readyz")).json()["warnings"] == [
        "no worker serves queue 'low', where jobs wait: 1",
        "no worker serves 12 other queues, where jobs wait: 12",
    ]


async def test_readiness_names_five_queues_at_most(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [f"own-{number}" for number in range(6)]
    monkeypatch.setattr(Meter, "queues", lambda _: own)
    for queue in own:
        await post(api, queue=queue)
    *named, last = (await api.get("/readyz")).json()["warnings"]
    assert [f"'own-{number}'" in warning for number, warning in enumerate(named)] == [True] * 5
    assert last == "no worker serves 1 other queue, where jobs wait: 1"


async def test_health_needs_no_user(api: httpx2.AsyncClient) -> None:
    del api.headers["X-User-ID"]
    assert [(await api.get(path)).status_code for path in ("/health", "/readyz", "/", "/job-types")] == [200] * 4


async def test_job_types_are_listed_with_the_schemas_of_their_payloads(api: httpx2.AsyncClient) -> None:
    items = {item["name"]: item for item in (await api.get("/job-types")).json()["items"]}
    assert list(items) == ["brief", "broken", "chart", "echo", "endless", "large", "measure", "nothing"]
    echo = items["echo"]
    assert (echo["description"], echo["mode"], echo["queue"]) == ("Give the payload back.", "async", "default")
    assert (echo["max_attempts"], echo["timeout"], echo["upstream"]) == (3, 600, None)
    assert echo["payload_schema"]["properties"]["count"]["type"] == "integer"


async def test_the_index_says_where_to_read_on(api: httpx2.AsyncClient) -> None:
    index = (await api.get("/")).json()
    assert index["name"] == "tidegate"
    for place in (index["docs"], index["openapi"]):
        assert (await api.get(place)).status_code == 200
