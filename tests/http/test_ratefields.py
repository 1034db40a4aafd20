"""What answers tell of limits, in the words of the draft and in those before it."""

import re

import httpx2
import pytest

from tests.http.calls import problem
from tidegate.config import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two limits, small enough to reach."""
    return settings.model_copy(update={"limit_user_per_hour": 3, "limit_ip_per_minute": 5})


async def test_an_accepted_job_tells_every_limit_and_what_is_left_of_it(api: httpx2.AsyncClient) -> None:
    told = [(await api.post("/jobs", json={"type": "echo"})).headers for _ in range(3)]
    assert {one["ratelimit-policy"] for one in told} == {'"address";q=5;w=60, "user";q=3;w=3600'}
    assert [one["ratelimit"] for one in told] == [
        f'"address";r={4 - number};t=60, "user";r={2 - number};t=3600' for number in range(3)
    ]
    assert [one["ratelimit-remaining"] for one in told] == ["2", "1", "0"]


async def test_a_refusal_tells_the_limit_that_was_reached_and_when_there_is_more(api: httpx2.AsyncClient) -> None:
    for _ in range(3):
        await api.post("/jobs", json={"type": "echo"})
    refused = await api.post("/jobs", json={"type": "echo"})
    problem(refused, 429, "rate-limited")
    wait = refused.headers["retry-after"]
    assert refused.headers["ratelimit-policy"] == '"user";q=3;w=3600'
    assert refused.headers["ratelimit"] == f'"user";r=0;t={wait}'
    assert refused.headers["ratelimit-reset"] == wait


async def test_the_fields_are_lists_of_strings_with_whole_parameters(api: httpx2.AsyncClient) -> None:
    headers = (await api.post("/jobs", json={"type": "echo"})).headers
    item = r'"[a-z]+"(;[a-z]+=\d+)+'
    for name in ("ratelimit", "ratelimit-policy"):
        assert re.fullmatch(rf"{item}(, {item})*", headers[name])


async def test_a_repeat_tells_nothing_of_limits(api: httpx2.AsyncClient) -> None:
    body = {"type": "echo", "idempotency_key": "k"}
    await api.post("/jobs", json=body)
    answer = await api.post("/jobs", json=body)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("ratelimit")]
