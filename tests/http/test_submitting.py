"""`POST /jobs`: accepted at once, once for a key, and kept as it was sent."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.http.calls import BOB, fields, post, problem
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.job import JobId
from tidegate.core.retry import Exponential, RetryPolicy


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Jobs go into SQLite."""
    return settings.model_copy(update={"engine": ""})


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_job_is_accepted_with_its_id_and_its_place(api: httpx2.AsyncClient) -> None:
    response = await api.post("/jobs", json={"type": "echo", "payload": {"text": "hi"}})
    assert response.status_code == 201
    job_id = response.json()["job_id"]
    assert response.json() == {"job_id": job_id, "status": "queued", "status_url": f"/jobs/{job_id}/status"}
    assert response.headers["location"] == f"/jobs/{job_id}"
    assert (await api.get(response.headers["location"])).json()["payload"] == {"text": "hi"}


async def test_every_field_of_a_request_is_kept(api: httpx2.AsyncClient, app: Tidegate) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    job_id = await post(
        api,
        payload={"count": 3},
        idempotency_key="k-1",
        queue="high",
        priority=7,
        run_at=(now + timedelta(hours=1)).isoformat(),
        max_attempts=5,
        retry={"policy": "exponential", "initial": 2, "factor": 2},
        timeout=90,
        expires_at=(now + timedelta(hours=2)).isoformat().replace("+00:00", "Z"),
        tags=["nightly", "eu"],
    )
    [job] = await app.system.engine.get([JobId(job_id)])
    assert job is not None
    assert (job.spec.user_id, job.spec.idempotency_key, job.lane.queue) == ("ada", "k-1", "high")
    assert (job.spec.priority, job.run_at, job.expires_at) == (7, now + timedelta(hours=1), now + timedelta(hours=2))
    backoff = Exponential(initial=timedelta(seconds=2), cap=timedelta(hours=24))
    assert job.spec.retry == RetryPolicy(backoff=backoff, max_attempts=5)
    assert (job.spec.timeout, job.spec.tags) == (timedelta(seconds=90), ("nightly", "eu"))


async def test_a_delay_is_in_seconds(api: httpx2.AsyncClient) -> None:
    job = (await api.get(f"/jobs/{await post(api, delay=90)}")).json()
    due, created = datetime.fromisoformat(job["run_at"]), datetime.fromisoformat(job["created_at"])
    assert due - created == timedelta(seconds=90)


async def test_a_payload_is_kept_to_the_byte(api: httpx2.AsyncClient, app: Tidegate) -> None:
    payload = b'{ "text":"\\u00e9\xc3\xa9", "numbers":[1e2, 0.1000000000000000055] }'
    response = await api.post("/jobs", content=b'{"payload": %b, "type": "echo"}' % payload)
    [body] = await app.system.engine.bodies([JobId(response.json()["job_id"])])
    assert body is not None
    assert body.payload == payload


async def test_request_id_and_traceparent_go_into_the_job(api: httpx2.AsyncClient, app: Tidegate) -> None:
    response = await api.post("/jobs", json={"type": "echo"}, headers={"X-Request-ID": "req-1", "traceparent": TRACE})
    [job] = await app.system.engine.get([JobId(response.json()["job_id"])])
    assert job is not None
    assert (job.spec.request_id, job.spec.traceparent) == ("req-1", TRACE)


IDS = TRACE[3:-3]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (f"00-{IDS}-ff", f"00-{IDS}-ff"),
        (f"01-{IDS}-03", f"00-{IDS}-01"),
        (f"cc-{IDS}-fe-what-the-future-brings", f"00-{IDS}-00"),
        (f"fe-{IDS}-01-", f"00-{IDS}-01"),
    ],
)
async def test_a_traceparent_of_a_later_version_is_kept_as_far_as_this_one_goes_and_is_shown(
    api: httpx2.AsyncClient, sent: str, kept: str
) -> None:
    response = await api.post("/jobs", json={"type": "echo"}, headers={"traceparent": sent})
    assert (await api.get(response.headers["location"])).json()["traceparent"] == kept


async def test_two_traceparents_count_as_none(api: httpx2.AsyncClient) -> None:
    headers = [("traceparent", TRACE), ("traceparent", TRACE), ("X-User-ID", "ada")]
    response = await api.post("/jobs", content=b'{"type": "echo"}', headers=headers)
    assert (await api.get(response.headers["location"])).json()["traceparent"] is None


NO_TRACES = [
    f"{TRACE}-x", TRACE.upper(), f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{IDS}-01", f"01-{IDS}-01x", f"0-{IDS}-01",
    f"cc-{IDS}", "x",
]  # fmt: skip


@pytest.mark.parametrize("sent", NO_TRACES)
async def test_a_traceparent_that_is_not_valid_counts_as_none(
    api: httpx2.AsyncClient, app: Tidegate, sent: str
) -> None:
    response = await api.post("/jobs", json={"type": "echo"}, headers={"traceparent": sent})
    [job] = await app.system.engine.get([JobId(response.json()["job_id"])])
    assert job is not None
    assert job.spec.traceparent == ""


# one key, one job ------------------------------------------------------------------------------------------


async def test_a_repeat_is_answered_with_the_same_id(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "payload": {"text": "hi"}, "idempotency_key": "k"}
    first = await api.post("/jobs", json=body)
    again = await api.post("/jobs", json=dict(reversed(body.items())))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (again.headers["idempotent-replayed"], again.headers["location"]) == ("true", first.headers["location"])
    assert "idempotent-replayed" not in first.headers


async def test_the_key_may_come_as_a_header_the_first_or_the_second_time(api: httpx2.AsyncClient) -> None:
    first = await api.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": "k"})
    again = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
    both = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"}, headers={"Idempotency-Key": "k"})
    assert [answer.status_code for answer in (first, again, both)] == [201, 200, 200]
    assert len({answer.json()["job_id"] for answer in (first, again, both)}) == 1


async def test_keys_in_header_and_body_that_differ_are_refused(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "idempotency_key": "k"}
    response = await api.post("/jobs", json=body, headers={"Idempotency-Key": "other"})
    assert fields(problem(response, 422, "invalid-input")) == ["idempotency_key"]


@pytest.mark.parametrize(
    ("quoted", "bare", "same"),
    [
        ('"k"', "k", True),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c', True),
        ('"k', "k", False),
        ('"k";a=1', "k", False),
        ('""k""', '"k"', False),
    ],
)
async def test_a_key_that_is_quoted_as_a_structured_field_is_what_is_in_the_quotes(
    api: httpx2.AsyncClient, quoted: str, bare: str, *, same: bool
) -> None:
    first = (await api.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": quoted})).json()
    again = (await api.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": bare})).json()
    assert (first["job_id"] == again["job_id"]) is same
    assert first["job_id"]


async def test_a_quoted_key_of_nothing_is_refused(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/jobs", json={"type": "echo"}, headers={"Idempotency-Key": '""'})
    assert fields(problem(response, 422, "invalid-input")) == ["idempotency_key"]


async def test_another_request_under_a_key_is_refused_and_names_the_first_job(api: httpx2.AsyncClient) -> None:
    first = await post(api, idempotency_key="k", payload={"count": 1})
    response = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k", "payload": {"count": 2}})
    said = problem(response, 422, "idempotency-conflict")
    assert said["job_id"] == first
    assert fields(said) == ["idempotency_key"]


async def test_a_default_that_was_spelled_out_is_another_request(api: httpx2.AsyncClient) -> None:
    await post(api, idempotency_key="k")
    response = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k", "priority": 0})
    problem(response, 422, "idempotency-conflict")


async def test_users_have_keys_of_their_own(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "idempotency_key": "k"}
    mine, theirs = await api.post("/jobs", json=body), await api.post("/jobs", json=body, headers=BOB)
    assert theirs.status_code == 201
    assert mine.json()["job_id"] != theirs.json()["job_id"]


async def test_a_repeat_shows_where_the_job_stands_now(api: httpx2.AsyncClient) -> None:
    job_id = await post(api, idempotency_key="k")
    await api.post(f"/jobs/{job_id}/cancel")
    again = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k"})
    assert (again.status_code, again.json()["job_id"], again.json()["status"]) == (200, job_id, "cancelled")


async def test_a_repeat_is_answered_though_its_request_could_not_be_made_today(api: httpx2.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(milliseconds=200)).isoformat()
    job_id = await post(api, idempotency_key="k", expires_at=soon)
    body = {"type": "echo", "idempotency_key": "k", "expires_at": soon}
    await asyncio.sleep((datetime.fromisoformat(soon) - datetime.now(UTC)).total_seconds() + 0.01)
    again = await api.post("/jobs", json=body)
    assert (again.status_code, again.json()["job_id"]) == (200, job_id)
    refused = await api.post("/jobs", json=body | {"idempotency_key": "new"})
    assert fields(problem(refused, 422, "invalid-input")) == ["expires_at"]


async def test_64_concurrent_posts_with_one_key_give_one_id(server: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "idempotency_key": "k"}
    responses = await asyncio.gather(*(server.post("/jobs", json=body) for _ in range(64)))
    assert sorted(response.status_code for response in responses) == [200] * 63 + [201]
    assert len({response.json()["job_id"] for response in responses}) == 1
