"""`POST /jobs/bulk`: all of a batch or each that can be, through the door that single jobs pass."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.http.calls import fields, post, problem
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.errors import EngineUnavailable
from tidegate.http.routes.bulk_submitting import BULK_LIMIT
from tidegate.http.schemas.bulk import MOST_JOBS
from tidegate.intake import Accepted

USER_LIMIT = 10


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A user may submit ten jobs in an hour, and nobody counts addresses."""
    return settings.model_copy(update={"limit_user_per_hour": USER_LIMIT})


def _echo(count: int = 0, **more: object) -> dict[str, object]:
    return {"type": "echo", "payload": {"count": count}, **more}


async def _bulk(api: httpx2.AsyncClient, *jobs: object, mode: str = "all") -> httpx2.Response:
    return await api.post("/jobs/bulk", json={"jobs": list(jobs), "mode": mode})


async def _unknown(_: object) -> Accepted | None:
    """What `replayed` says of a key that nobody has used yet."""
    return None


async def _stored(app: Tidegate) -> int:
    total = (await app.system.engine.stats()).lanes
    return sum(lane.ready + lane.waiting for lane in total)


# all -------------------------------------------------------------------------------------------------------


async def test_a_batch_is_accepted_in_one_call_to_the_store(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, submit = list[int](), app.system.engine.submit

    async def counted(jobs: Sequence[NewJob]) -> list[Receipt]:
        calls.append(len(jobs))
        return await submit(jobs)

    monkeypatch.setattr(app.system.engine, "submit", counted)
    response = await _bulk(api, _echo(1), _echo(2, priority=3), _echo(3))
    said = response.json()
    assert (response.status_code, said["accepted"], said["refused"], calls) == (201, 3, 0, [3])
    assert [(item["index"], item["status"], item["created"]) for item in said["items"]] == [
        (place, "queued", True) for place in range(3)
    ]
    second = (await api.get(f"/jobs/{said['items'][1]['job_id']}")).json()
    assert (second["payload"], second["priority"]) == ({"count": 2}, 3)


async def test_payloads_are_kept_to_the_byte(api: httpx2.AsyncClient, app: Tidegate) -> None:
    payloads = [b'{ "numbers":[1e2, 0.1000000000000000055] }', b"{}", b'{"text":"\\u00e9\xc3\xa9"}']
    jobs = b", ".join(b'{"payload": %b, "type": "echo"}' % payload for payload in payloads)
    response = await api.post("/jobs/bulk", content=b'{"jobs": [%b]}' % jobs)
    bodies = await app.system.engine.bodies([JobId(item["job_id"]) for item in response.json()["items"]])
    assert [body.payload for body in bodies if body is not None] == payloads


async def test_one_wrong_job_and_nothing_is_stored_and_every_wrong_field_is_named_by_its_place(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    bad = [_echo(1), 7, _echo(2, priority="3", colour="red"), _echo(3), {"type": "echo", "payload": {"count": "x"}}]
    said = problem(await _bulk(api, *bad), 422, "invalid-input")
    assert fields(said) == ["jobs.1", "jobs.2.priority", "jobs.2.colour", "jobs.4.payload.count"]
    assert await _stored(app) == 0


@pytest.mark.parametrize("job_type", ["no-such-type", "tidegate.bulk"])
async def test_a_type_that_is_unknown_or_our_own_is_refused_by_its_place(
    api: httpx2.AsyncClient, job_type: str
) -> None:
    said = problem(await _bulk(api, _echo(), {"type": job_type}), 422, "unknown-job-type")
    assert fields(said) == ["jobs.1.type"]


async def test_wrong_in_several_ways_is_invalid_input(api: httpx2.AsyncClient) -> None:
    said = problem(await _bulk(api, {"type": "no-such-type"}, _echo(delay=-1)), 422, "invalid-input")
    assert fields(said) == ["jobs.0.type", "jobs.1.delay"]


@pytest.mark.parametrize("count", [0, MOST_JOBS + 1])
async def test_a_batch_has_1_to_500_jobs(api: httpx2.AsyncClient, count: int) -> None:
    said = problem(await _bulk(api, *[_echo()] * count), 422, "invalid-input")
    assert fields(said) == ["jobs"]
    assert str(MOST_JOBS if count else 1) in str(said["detail"])


async def test_a_body_over_8_mib_is_refused_with_the_limit(api: httpx2.AsyncClient) -> None:
    said = problem(await api.post("/jobs/bulk", content=b" " * (BULK_LIMIT + 1)), 413, "too-large")
    assert said["limit"] == BULK_LIMIT


@pytest.mark.parametrize("body", [b'{"jobs": [{"type": "echo", "type": "echo"}]}', b'{"jobs": [NaN]}', b"[]x"])
async def test_json_is_read_as_strictly_as_for_one_job(api: httpx2.AsyncClient, body: bytes) -> None:
    problem(await api.post("/jobs/bulk", content=body), 400, "malformed-json")


@pytest.mark.parametrize("body", [[], {"jobs": {}}, {"jobs": [_echo()], "mode": "some"}, {"jobs": [_echo()], "x": 1}])
async def test_what_is_no_batch_is_refused(api: httpx2.AsyncClient, body: object) -> None:
    problem(await api.post("/jobs/bulk", content=json.dumps(body)), 422, "invalid-input")


async def test_a_key_for_the_whole_batch_is_refused(api: httpx2.AsyncClient) -> None:
    response = await api.post("/jobs/bulk", json={"jobs": [_echo()]}, headers={"Idempotency-Key": "k"})
    assert fields(problem(response, 422, "invalid-input")) == ["idempotency-key"]


# each ------------------------------------------------------------------------------------------------------


async def test_each_that_can_be_is_accepted_and_the_answer_says_why_the_others_are_not(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    taken = await post(api, idempotency_key="k")
    response = await _bulk(
        api, _echo(1), "job", _echo(2, idempotency_key="k"), {"type": "no-such-type"}, _echo(3), mode="each"
    )
    said = response.json()
    assert (response.status_code, said["accepted"], said["refused"]) == (200, 2, 3)
    assert [item["index"] for item in said["items"]] == [0, 1, 2, 3, 4]
    assert [item["created"] for item in said["items"] if "created" in item] == [True, True]
    problems = [item["problem"] for item in said["items"] if "problem" in item]
    assert [one["type"] for one in problems] == [
        "/problems/invalid-input",
        "/problems/idempotency-conflict",
        "/problems/unknown-job-type",
    ]
    assert (problems[1]["status"], problems[1]["job_id"]) == (422, taken)
    assert problems[2]["errors"][0]["field"] == "type"
    assert await _stored(app) == 3


async def test_where_none_can_be_accepted_none_is(api: httpx2.AsyncClient, app: Tidegate) -> None:
    said = (await _bulk(api, 1, 2, mode="each")).json()
    assert (said["accepted"], said["refused"], await _stored(app)) == (0, 2, 0)


# keys ------------------------------------------------------------------------------------------------------


async def test_a_repeated_batch_is_answered_with_the_same_ids(api: httpx2.AsyncClient) -> None:
    jobs = [_echo(n, idempotency_key=f"k-{n}") for n in range(3)]
    first, again = await _bulk(api, *jobs), await _bulk(api, *jobs)
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (201, 200, "true")
    ids = [[item["job_id"] for item in answer.json()["items"]] for answer in (first, again)]
    assert ids[0] == ids[1]
    assert not any(item["created"] for item in again.json()["items"])
    assert "idempotent-replayed" not in first.headers


async def test_a_job_made_alone_is_found_by_its_key_and_one_of_a_batch_is_found_alone(api: httpx2.AsyncClient) -> None:
    alone = await post(api, idempotency_key="a", payload={"count": 1})
    said = (await _bulk(api, _echo(1, idempotency_key="a"), _echo(2, idempotency_key="b"))).json()
    assert [(item["job_id"] == alone, item["created"]) for item in said["items"]] == [(True, False), (False, True)]
    again = await api.post("/jobs", json=_echo(2, idempotency_key="b"))
    assert (again.status_code, again.json()["job_id"]) == (200, said["items"][1]["job_id"])


async def test_twins_in_a_batch_are_one_job_and_count_once(api: httpx2.AsyncClient) -> None:
    response = await _bulk(api, *[_echo(1, idempotency_key="k")] * 4)
    items = response.json()["items"]
    assert len({item["job_id"] for item in items}) == 1
    assert [item["created"] for item in items] == [True, False, False, False]
    assert response.headers["ratelimit-remaining"] == str(USER_LIMIT - 1)


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_two_requests_under_one_key_of_a_batch_are_refused(api: httpx2.AsyncClient, mode: str) -> None:
    response = await _bulk(api, _echo(1, idempotency_key="k"), _echo(2, idempotency_key="k"), mode=mode)
    if mode == "all":
        assert fields(problem(response, 422, "invalid-input")) == ["jobs.1.idempotency_key"]
    else:
        assert [item.get("created") for item in response.json()["items"]] == [True, None]


async def test_a_key_of_other_work_refuses_the_batch_and_names_the_first_job(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    taken = await post(api, idempotency_key="k")
    said = problem(await _bulk(api, _echo(1), _echo(2, idempotency_key="k")), 422, "idempotency-conflict")
    assert (fields(said), said["job_id"]) == (["jobs.1.idempotency_key"], taken)
    assert await _stored(app) == 1


async def test_a_repeat_is_answered_though_it_could_not_be_accepted_today(api: httpx2.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(milliseconds=200)).isoformat()
    job = _echo(1, idempotency_key="k", expires_at=soon)
    first = await _bulk(api, job)
    await asyncio.sleep((datetime.fromisoformat(soon) - datetime.now(UTC)).total_seconds() + 0.01)
    again = await _bulk(api, job)
    assert (again.status_code, again.json()["items"][0]["job_id"]) == (200, first.json()["items"][0]["job_id"])
    said = problem(await _bulk(api, job, _echo(expires_at=soon)), 422, "invalid-input")
    assert fields(said) == ["jobs.1.expires_at"]


@pytest.mark.parametrize("mode", ["all", "each"])
async def test_a_key_that_another_process_takes_meanwhile_is_a_conflict(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    submit, elsewhere = app.system.engine.submit, [JobId("01890a5d-ac96-774b-bcce-b302099a8057")]

    async def overtaken(jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = await submit([job for job in jobs if job.spec.idempotency_key is None])
        found = iter(receipts)
        conflict = Receipt(elsewhere[0], Submission.CONFLICT)
        return [conflict if job.spec.idempotency_key else next(found) for job in jobs]

    monkeypatch.setattr(app.system.engine, "submit", overtaken)
    keyed = _echo(2, idempotency_key="k")
    response = await _bulk(api, _echo(1), keyed, mode=mode)
    if mode == "all":
        said = problem(response, 422, "idempotency-conflict")
        assert (fields(said), said["job_id"]) == (["jobs.1.idempotency_key"], elsewhere[0])
    else:
        assert [item.get("created") for item in response.json()["items"]] == [True, None]
        assert response.headers["ratelimit-remaining"] == str(USER_LIMIT - 1)
        alone = await _bulk(api, keyed, keyed, mode=mode)
        assert (alone.json()["accepted"], alone.json()["refused"]) == (0, 2)
        assert "ratelimit-remaining" not in alone.headers


# limits ----------------------------------------------------------------------------------------------------


async def _left(api: httpx2.AsyncClient) -> int:
    """How many jobs the user may still submit after this one."""
    return int((await api.post("/jobs", json={"type": "echo"})).headers["ratelimit-remaining"])


async def test_a_batch_counts_as_many_as_are_new(api: httpx2.AsyncClient) -> None:
    await post(api, idempotency_key="k", payload={"count": 0})
    response = await _bulk(api, _echo(0, idempotency_key="k"), _echo(1), _echo(2))
    assert response.headers["ratelimit-remaining"] == str(USER_LIMIT - 3)


async def test_a_refused_batch_and_repeats_cost_nothing(api: httpx2.AsyncClient) -> None:
    jobs = [_echo(n, idempotency_key=f"k-{n}") for n in range(3)]
    for _ in range(3):
        assert (await _bulk(api, *jobs)).status_code in (200, 201)
        assert (await _bulk(api, *jobs, _echo(delay=-1))).status_code == 422
    assert await _left(api) == USER_LIMIT - 4


async def test_a_batch_is_one_post_of_its_address(api: httpx2.AsyncClient, app: Tidegate) -> None:
    narrow = app.system.settings.model_copy(update={"limit_user_per_hour": 0, "limit_ip_per_minute": 2})
    object.__setattr__(app.system, "settings", narrow)
    for _ in range(2):
        assert (await _bulk(api, _echo(1), _echo(2))).status_code == 201
    problem(await _bulk(api, _echo(1)), 429, "rate-limited")


async def test_batches_and_single_twins_that_race_cost_as_much_as_one(server: httpx2.AsyncClient) -> None:
    jobs = [_echo(n, idempotency_key=f"k-{n}") for n in range(3)]
    batches = [_bulk(server, *jobs) for _ in range(6)] + [_bulk(server, *reversed(jobs)) for _ in range(6)]
    singles = [server.post("/jobs", json=job) for job in jobs * 3]
    answers = await asyncio.gather(*batches, *singles)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert await _left(server) == USER_LIMIT - 4


async def test_a_repeat_that_another_process_won_is_uncounted(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await post(api, idempotency_key="k", payload={"count": 1})
    monkeypatch.setattr(app.system.client.intake, "replayed", _unknown)  # as if it had come only just now
    response = await _bulk(api, _echo(1, idempotency_key="k"), _echo(2))
    assert [(item["job_id"] == first, item["created"]) for item in response.json()["items"]] == [
        (True, False),
        (False, True),
    ]
    assert response.headers["ratelimit-remaining"] == str(USER_LIMIT - 2)
    assert (await _bulk(api, _echo(1, idempotency_key="k"))).status_code == 200
    monkeypatch.undo()
    assert await _left(api) == USER_LIMIT - 3


async def test_a_store_that_is_away_costs_nothing(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> list[Receipt]:
        raise EngineUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(app.system.engine, "submit", away)
        problem(await _bulk(api, _echo(1), _echo(2)), 503, "store-unavailable")
    assert await _left(api) == USER_LIMIT - 1


async def test_a_batch_whose_end_nobody_knows_is_counted_once_however_often_it_is_repeated(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, submit = [_echo(n, idempotency_key=f"k-{n}") for n in range(3)], app.system.engine.submit

    async def deaf(asked: Sequence[NewJob]) -> list[Receipt]:
        await submit(asked)
        raise EngineUnavailable("the line went down before the answer came")

    with monkeypatch.context() as patch:
        patch.setattr(app.system.engine, "submit", deaf)
        for _ in range(2):
            problem(await _bulk(api, *jobs), 503, "store-unavailable")
            patch.setattr(app.system.client.intake, "replayed", _unknown)  # a twin elsewhere, as late as can be
    again = await _bulk(api, *jobs)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert (await _stored(app), await _left(api)) == (3, USER_LIMIT - 4)


async def test_a_store_that_cannot_tell_of_keys_refuses_the_batch(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> list[None]:
        raise EngineUnavailable("the store is away")

    monkeypatch.setattr(app.system.engine, "known", away)
    problem(await _bulk(api, _echo(1, idempotency_key="k"), mode="each"), 503, "store-unavailable")


# breakers --------------------------------------------------------------------------------------------------


@pytest.fixture
def app(app: Tidegate) -> Tidegate:
    """The application, with a job type that an upstream's outage closes the door to."""

    @app.job("asking", upstream="openrouter")
    async def asking() -> None:
        """Ask a model."""

    return app


async def test_while_an_upstream_is_open_its_jobs_are_refused_but_not_repeats(api: httpx2.AsyncClient) -> None:
    known = {"type": "asking", "idempotency_key": "k"}
    assert (await _bulk(api, known)).status_code == 201
    assert (await api.put("/upstreams/openrouter/override", json={"state": "open", "seconds": 60})).status_code == 200
    response = await _bulk(api, known, _echo(1), {"type": "asking"})
    said = problem(response, 429, "upstream-open")
    assert (fields(said), said["upstream"]) == (["jobs.2.type"], "openrouter")
    assert 50 < int(response.headers["retry-after"]) <= 60
    items = (await _bulk(api, known, _echo(1), {"type": "asking"}, mode="each")).json()["items"]
    assert [item.get("created") for item in items] == [False, True, None]
    assert items[2]["problem"]["retry_after"] > 50
