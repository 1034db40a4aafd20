"""`POST /jobs/bulk` at a limit: all of a batch or none, or each as far as there is room, on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import fields, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import STORES, url_of
from tidegate.app import Tidegate

USER_LIMIT = 10


@pytest.fixture(params=STORES)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tidegate]:
    """An application on each store, where a user may submit ten jobs in an hour."""
    settings = plain_settings(tmp_path / "data")
    async with url_of(request.param, tmp_path) as url:
        yield application(settings.model_copy(update={"engine": url, "limit_user_per_hour": USER_LIMIT}))


@pytest.fixture
async def api(app: Tidegate) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of it."""
    async with reached(app, worker=False) as client:
        yield client


def _echo(count: int = 0, **more: object) -> dict[str, object]:
    return {"type": "echo", "payload": {"count": count}, **more}


async def _bulk(api: httpx2.AsyncClient, *jobs: object, mode: str = "all") -> httpx2.Response:
    return await api.post("/jobs/bulk", json={"jobs": list(jobs), "mode": mode})


async def _stored(api: httpx2.AsyncClient) -> int:
    return len((await api.get("/jobs")).json()["items"])


async def test_over_the_limit_a_batch_is_refused_whole_or_only_the_jobs_beyond_it(api: httpx2.AsyncClient) -> None:
    await _bulk(api, *[_echo(n, idempotency_key=f"k-{n}") for n in range(6)])
    jobs = [_echo(n, idempotency_key=f"k-{n}") for n in range(4, 12)]
    response = await _bulk(api, *jobs)
    problem(response, 429, "rate-limited")
    assert int(response.headers["retry-after"]) > 3_500
    assert await _stored(api) == 6
    response = await _bulk(api, *jobs, mode="each")
    said = response.json()
    assert (said["accepted"], said["refused"]) == (6, 2)
    assert [item["index"] for item in said["items"] if "problem" in item] == [6, 7]
    assert {item["problem"]["type"] for item in said["items"][6:]} == {"/problems/rate-limited"}
    assert response.headers["ratelimit-remaining"] == "0"
    assert await _stored(api) == USER_LIMIT
    said = (await _bulk(api, *jobs, mode="each")).json()
    assert (said["accepted"], said["refused"]) == (6, 2)


async def test_each_of_more_jobs_than_the_whole_limit_is_told_what_became_of_it(api: httpx2.AsyncClient) -> None:
    response = await _bulk(api, *[_echo(n) for n in range(USER_LIMIT + 3)], mode="each")
    said = response.json()
    assert (response.status_code, said["accepted"], said["refused"]) == (200, USER_LIMIT, 3)
    over = [item["problem"] for item in said["items"] if "problem" in item]
    assert [(one["type"], one["limit"], one["retry_after"]) for one in over] == [
        ("/problems/rate-limited", USER_LIMIT, 3_600)
    ] * 3
    assert await _stored(api) == USER_LIMIT
    said = (await _bulk(api, _echo(), mode="each")).json()
    assert (said["accepted"], said["refused"]) == (0, 1)


async def test_an_address_over_its_limit_has_each_job_of_its_batch_refused(
    api: httpx2.AsyncClient, app: Tidegate
) -> None:
    narrow = app.system.settings.model_copy(update={"limit_ip_per_minute": 1})
    object.__setattr__(app.system, "settings", narrow)
    await _bulk(api, _echo(1))
    response = await _bulk(api, _echo(2), _echo(3), mode="each")
    assert (response.status_code, response.json()["refused"]) == (200, 2)
    assert await _stored(api) == 1


async def test_a_batch_over_the_whole_limit_says_that_it_can_never_be_accepted(api: httpx2.AsyncClient) -> None:
    said = problem(await _bulk(api, *[_echo()] * (USER_LIMIT + 1)), 422, "invalid-input")
    assert fields(said) == ["jobs"]
    assert str(USER_LIMIT) in str(said["detail"])
