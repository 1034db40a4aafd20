"""`/health` and `/readyz`."""

import httpx2

from tests.http.calls import post


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
    }
    await post(api)
    await post(api)
    assert 0 < (await api.get("/readyz")).json()["oldest_ready_age"] < 60


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
