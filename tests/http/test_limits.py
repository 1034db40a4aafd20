"""How much one user and one address may ask for; and that a repeat costs nothing."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import httpx2
import pytest

from tests.http.calls import BOB, post, problem
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.verbs import Take, Taken
from tidegate.engines.memory import MemoryEngine
from tidegate.errors import EngineUnavailable, RateLimited
from tidegate.http.guards.limits import Limits, enqueue

USER_LIMIT, ADDRESS_LIMIT = 3, 8


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Both limits, small enough to reach, counted in SQLite."""
    return settings.model_copy(
        update={"engine": "", "limit_user_per_hour": USER_LIMIT, "limit_ip_per_minute": ADDRESS_LIMIT}
    )


async def _fill(api: httpx2.AsyncClient) -> None:
    for number in range(USER_LIMIT):
        await post(api, idempotency_key=f"k-{number}")


async def test_a_user_over_the_limit_is_told_when_to_come_back(api: httpx2.AsyncClient) -> None:
    await _fill(api)
    response = await api.post("/jobs", json={"type": "echo"})
    said = problem(response, 429, "rate-limited")
    wait = int(response.headers["retry-after"])
    assert 3590 <= wait <= 3600
    assert (said["limit"], said["retry_after"]) == (USER_LIMIT, wait)
    assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == (str(USER_LIMIT), "0")
    assert response.headers["ratelimit-reset"] == str(wait)


async def test_an_accepted_job_tells_what_is_left(api: httpx2.AsyncClient) -> None:
    left = []
    for _ in range(USER_LIMIT):
        response = await api.post("/jobs", json={"type": "echo"})
        left.append((response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]))
    assert left == [("3", "2"), ("3", "1"), ("3", "0")]


async def test_other_users_go_on(api: httpx2.AsyncClient) -> None:
    await _fill(api)
    assert (await api.post("/jobs", json={"type": "echo"}, headers=BOB)).status_code == 201


async def test_a_repeat_is_answered_at_the_limit(api: httpx2.AsyncClient) -> None:
    await _fill(api)
    responses = [await api.post("/jobs", json={"type": "echo", "idempotency_key": "k-0"}) for _ in range(20)]
    assert {response.status_code for response in responses} == {200}
    problem(await api.post("/jobs", json={"type": "echo"}), 429, "rate-limited")


async def test_another_request_under_a_known_key_is_a_conflict_also_at_the_limit(api: httpx2.AsyncClient) -> None:
    await _fill(api)
    response = await api.post("/jobs", json={"type": "echo", "idempotency_key": "k-0", "priority": 1})
    problem(response, 422, "idempotency-conflict")


async def test_repeats_cost_nothing(api: httpx2.AsyncClient) -> None:
    first = {"type": "echo", "idempotency_key": "k"}
    await post(api, idempotency_key="k")
    for _ in range(ADDRESS_LIMIT + 2):
        assert (await api.post("/jobs", json=first)).status_code == 200
    await post(api)
    await post(api)
    problem(await api.post("/jobs", json={"type": "echo"}), 429, "rate-limited")


@pytest.mark.parametrize("way", [{}, {"Origin": "https://elsewhere.example"}], ids=["straight", "around"])
@pytest.mark.parametrize("refused", [b'{"type":"no-such-type"}', b'{"type":', b'{"type":"echo","idempotency_key":"k"}'])
async def test_what_is_refused_counts_for_its_address_and_not_for_its_user(
    server: httpx2.AsyncClient, settings: Settings, app: Tidegate, way: dict[str, str], refused: bytes
) -> None:
    await post(server, idempotency_key="k", priority=1)
    for _ in range(ADDRESS_LIMIT - 1):
        assert (await server.post("/jobs", content=refused, headers=way)).status_code in (400, 422)
    problem(await server.post("/jobs", content=refused, headers=way), 429, "rate-limited")
    [taken] = await app.system.engine.take(enqueue(settings, "ada"), "0" * 32)
    assert taken.remaining == USER_LIMIT - 2


@pytest.mark.parametrize("refused", [b'{"jobs":[{"type":"no-such-type"}]}', b'{"jobs":', b"{}"])
async def test_a_batch_that_is_refused_counts_for_its_address(api: httpx2.AsyncClient, refused: bytes) -> None:
    for _ in range(ADDRESS_LIMIT):
        assert (await api.post("/jobs/bulk", content=refused)).status_code in (400, 422)
    problem(await api.post("/jobs/bulk", content=refused), 429, "rate-limited")


async def test_repeats_that_raced_cost_as_much_as_one(server: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "idempotency_key": "k"}
    responses = await asyncio.gather(*(server.post("/jobs", json=body) for _ in range(40)))
    assert sorted(response.status_code for response in responses) == [200] * 39 + [201]
    assert (await server.post("/jobs", json={"type": "echo"})).headers["ratelimit-remaining"] == "1"


async def test_posts_of_an_address_are_limited_whoever_makes_them(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    for number in range(ADDRESS_LIMIT - 2):
        await api.post(f"/jobs/{job_id}/cancel", headers={"X-User-ID": f"user-{number}"})
    assert (await api.post("/uploads", content=b"a")).status_code == 201
    for path in ("/jobs", "/uploads", f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry", f"/jobs/{job_id}/dismiss"):
        body = b'{"type":"echo"}' if path in ("/jobs", "/uploads") else None
        response = await api.post(path, content=body, headers=BOB)
        problem(response, 429, "rate-limited")
        assert 50 <= int(response.headers["retry-after"]) <= 60


async def test_reading_is_not_limited(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    responses = [await api.get(f"/jobs/{job_id}/status") for _ in range(ADDRESS_LIMIT + 5)]
    assert {response.status_code for response in responses} == {200}


async def test_a_job_that_the_address_may_not_post_does_not_count_for_its_user(
    api: httpx2.AsyncClient, app: Tidegate, settings: Settings
) -> None:
    for _ in range(ADDRESS_LIMIT):
        await api.post("/uploads", content=b"a")
    problem(await api.post("/jobs", json={"type": "echo"}), 429, "rate-limited")
    [taken] = await app.system.engine.take(enqueue(settings, "ada"), "0" * 32)
    assert taken.remaining == USER_LIMIT - 1


class _Away(MemoryEngine):
    """A store that can't count while `away`."""

    away = True

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        if self.away:
            raise EngineUnavailable("the store is away")
        return await super().take(takes, nonce)


async def test_nothing_is_refused_while_the_store_cannot_count_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = _Away()
    limits, takes = Limits(lambda: engine), [Take(key="k", n=1, limit=1, window=timedelta(hours=1))]
    with caplog.at_level(logging.WARNING):
        grants = [await limits.take(takes) for _ in range(3)]
        assert [grant.headers for grant in grants] == [{}, {}, {}]
        assert len(caplog.records) == 1
        engine.away = False
        await limits.take(takes)
        with pytest.raises(RateLimited):
            await limits.take(takes)
        engine.away = True
        await limits.take(takes)
        assert len(caplog.records) == 2


async def test_what_was_not_taken_need_not_be_given_back() -> None:
    engine = _Away()
    limits = Limits(lambda: engine)
    grant = await limits.take([Take(key="k", n=1, limit=1, window=timedelta(hours=1))])
    await limits.give_back(grant)
    assert (await limits.take([])).headers == {}
