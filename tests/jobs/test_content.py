"""`content.generate`: what a model's answers and its provider's faults make of the job."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from tests.jobs.shop import KEY, MODEL, PROMPT, Changes, generate, settings, shop, told
from tests.llm.calls import ANSWER, completion
from tests.servers.provider import Fake, provider
from tests.servers.scripted import Act, Exchange, Scripted, answers, hangs, scripted
from tests.worker.house import House, eventually
from tidegate.core.budget import Budget
from tidegate.core.job import Phase, Status
from tidegate.core.lifecycle import phase
from tidegate.core.upstream import State, state
from tidegate.errors import InvalidInput
from tidegate.system_jobs import SYSTEM_PREFIX

GOOD = answers(200, completion())
SCHEMA = {"type": "object", "properties": {"tide": {"type": "string"}}, "required": ["tide"]}
Opened = Callable[..., AbstractAsyncContextManager[tuple[House, Scripted]]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """A shop whose model is a server with a script."""

    @asynccontextmanager
    async def open_it(*acts: Act, changes: Changes | None = None) -> AsyncIterator[tuple[House, Scripted]]:
        async with scripted(*acts) as server, shop(tmp_path, settings(server.url, **(changes or {}))) as house:
            yield house, server

    return open_it


def wrong(status: int, code: str) -> Act:
    return answers(status, {"error": {"message": PROMPT, "code": code}})


def shut(house: House, name: str = "local") -> bool:
    health = house.system.upstreams
    return state(health.upstream(f"upstream:{name}"), health.now()) is not State.CLOSED


async def test_when_the_model_s_budget_is_spent_the_fallback_serves_until_its_own_is(opened: Opened) -> None:
    cents = Budget(Decimal("0.000100"), timedelta(days=366))  # a call costs 60 micro-dollars
    prices = {MODEL: (Decimal(2), Decimal(8)), "other": (Decimal(2), Decimal(8))}
    async with opened(GOOD, changes={"fallback": "other", "budget": cents, "prices": prices}) as (house, server):
        served = [(await house.ended(await generate(house))).served_by for _ in range(4)]
        assert served == ["local", "local", "local.fallback", "local.fallback"]
        waits = await generate(house)
        await house.until(waits, lambda job: job.counters.interruptions == 1)
        assert len(server.requests) == 4


async def test_the_result_says_what_who_and_how_much(opened: Opened) -> None:
    async with opened(GOOD) as (house, server):
        job = await house.ended(await generate(house, system="Be brief.", max_tokens=50, temperature=0))
        assert await told(house, job) == {
            "text": ANSWER,
            "model": MODEL,
            "usage": {"input_tokens": 10, "output_tokens": 5, "cached_tokens": 0, "reasoning_tokens": 0},
            "cost": None,
            "finish_reason": "stop",
        }
    assert (job.lane.queue, job.lane.upstream, job.served_by, job.degraded) == ("content", "local", "local", False)
    (request,) = server.requests
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    assert (request.json()["messages"], request.json()["max_tokens"]) == (said, 50)
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_a_conversation_goes_on_and_another_model_may_be_named(opened: Opened) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    async with opened(GOOD) as (house, server):
        await house.ended(await generate(house, messages=turns, model="other/model"))
    assert (server.requests[0].json()["messages"], server.requests[0].json()["model"]) == (turns, "other/model")


async def test_an_answer_in_a_form_is_parsed_and_one_that_does_not_fit_is_asked_for_again(opened: Opened) -> None:
    async with opened(answers(200, completion("low")), answers(200, completion('{"tide": "low"}'))) as (house, server):
        job = await house.ended(await generate(house, schema=SCHEMA))
        assert (await told(house, job))["parsed"] == {"tide": "low"}
    assert (job.attempts, len(server.requests)) == (1, 2)


async def test_an_answer_that_never_fits_uses_the_attempts(opened: Opened) -> None:
    async with opened(answers(200, completion("low"))) as (house, server):
        payload = json.dumps({"prompt": PROMPT, "schema": SCHEMA}).encode()
        job_id = await house.submit("content.generate", payload=payload, max_attempts=1)
        job = await house.ended(job_id)
    assert job.error is not None
    assert (job.error.code, job.attempts, len(server.requests)) == ("invalid_output", 1, 2)


async def test_a_cut_answer_is_degraded(opened: Opened) -> None:
    async with opened(answers(200, completion(finish="length"))) as (house, _):
        job = await house.ended(await generate(house))
        assert (job.degraded, (await told(house, job))["finish_reason"]) == (True, "length")


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (wrong(400, "context_length_exceeded"), "context_too_long"),
        (wrong(400, "content_filter"), "content_refused"),
        (wrong(400, ""), "bad_request"),
    ],
)
async def test_what_is_the_jobs_own_fault_fails_for_good(opened: Opened, act: Act, code: str) -> None:
    async with opened(act) as (house, server):
        job = await house.ended(await generate(house))
    assert job.error is not None
    assert (job.status, job.error.code, job.attempts, len(server.requests)) == (Status.FAILED, code, 1, 1)
    assert PROMPT not in job.error.message


async def test_a_schema_that_is_none_fails_for_good(opened: Opened) -> None:
    async with opened(GOOD) as (house, server):
        job = await house.ended(await generate(house, schema={"type": "tide"}))
    assert job.error is not None
    assert (job.error.code, job.attempts, len(server.requests)) == ("invalid_payload", 1, 0)


@pytest.mark.parametrize(
    "payload", [{}, {"prompt": "a", "messages": []}, {"prompt": "a", "form": {}}, {"prompt": "a", "temperature": 3}]
)
async def test_a_payload_that_asks_nothing_or_twice_is_refused(opened: Opened, payload: dict[str, object]) -> None:
    async with opened(GOOD) as (house, _):
        with pytest.raises(InvalidInput):
            await house.submit("content.generate", payload=json.dumps(payload).encode())


async def test_without_a_model_a_job_fails_at_once_and_says_what_to_set(tmp_path: Path) -> None:
    async with shop(tmp_path, settings("")) as house:
        job = await house.ended(await generate(house))
        own = {known.name for known in house.registry if not known.name.startswith(SYSTEM_PREFIX)}
        assert own == {"analysis", "content.generate"}
    assert job.error is not None
    assert (job.error.code, job.attempts) == ("not_configured", 1)
    assert "OPENROUTER_API_KEY" in job.error.message
    assert "LLM_MODEL" in job.error.message


async def test_a_second_model_serves_where_the_first_cannot(opened: Opened) -> None:
    changes: Changes = {"fallback": "second/model", "tries": 1}
    async with opened(wrong(503, ""), GOOD, changes=changes) as (house, server):
        job = await house.ended(await generate(house))
    assert [request.json()["model"] for request in server.requests] == [MODEL, "second/model"]
    assert (job.degraded, job.served_by, job.attempts) == (True, "local.fallback", 1)


async def test_no_more_than_the_limit_ask_at_once_with_a_second_model_too(opened: Opened) -> None:
    async with opened(hangs(), changes={"fallback": "second/model", "limit": 2}) as (house, server):
        jobs = [await generate(house) for _ in range(6)]
        await eventually(lambda: len(server.requests) >= 2)
        await asyncio.sleep(0.3)
        running = [job for job_id in jobs if (job := await house.look(job_id)).status is Status.RUNNING]
        assert len(running) == len(server.requests) == 2


# the shipped provider and its outages -----------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A provider that answers at once, until it is told otherwise."""
    with provider(scale=60) as found:
        yield found


@pytest.mark.parametrize(
    "does", ["rate_limit", "server_error", "overloaded", "disconnect", "error_in_200", "invalid_json"]
)
async def test_an_outage_costs_no_attempt_and_the_jobs_run_after_it(tmp_path: Path, fake: Fake, does: str) -> None:
    async with shop(tmp_path, settings(fake.base())) as house:
        await asyncio.to_thread(fake.override, does)
        jobs = [await generate(house) for _ in range(8)]
        await eventually(lambda: shut(house) or shut_queue(house), within=10)
        waiting = [await house.look(job_id) for job_id in jobs]
        assert all(job.status is not Status.FAILED for job in waiting)
        await asyncio.to_thread(fake.clear)
        ended = await house.all_ended(jobs, within=20)
    assert {(job.status, job.attempts) for job in ended} == {(Status.SUCCEEDED, 1)}
    assert sum(job.counters.runs for job in ended) > len(jobs)


def shut_queue(house: House) -> bool:
    health = house.system.upstreams
    return state(health.upstream("queue:content"), health.now()) is not State.CLOSED


async def test_a_quota_used_up_parks_the_jobs_after_one_call(tmp_path: Path, fake: Fake) -> None:
    async with shop(tmp_path, settings(fake.base())) as house:
        await asyncio.to_thread(fake.override, "quota")
        first = await generate(house)
        await eventually(lambda: shut(house))
        others = [await generate(house) for _ in range(5)]
        await asyncio.sleep(0.3)
        health = house.system.upstreams
        phases = {phase(await house.look(job_id), health.now(), health.shut()) for job_id in [first, *others]}
        calls = len(await asyncio.to_thread(fake.lines))
    assert (phases, calls) == ({Phase.PARKED}, 1)


async def test_no_more_jobs_call_at_once_than_the_limit_says(opened: Opened) -> None:
    running: list[int] = []
    most: list[int] = []

    async def slow(exchange: Exchange) -> None:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.1)
        running.pop()
        await GOOD(exchange)

    async with opened(slow) as (house, _):
        await house.ended(await generate(house))
        await eventually(lambda: house.system.upstreams.keeper.limiting)  # the store has heard of the upstream
        await house.all_ended([await generate(house) for _ in range(9)])
    assert max(most) == 3


async def test_a_black_hole_ends_with_the_deadline(opened: Opened) -> None:
    changes: Changes = {"overall": timedelta(seconds=1)}
    async with opened(hangs(), GOOD, changes=changes) as (house, _):
        job = await house.ended(await generate(house))
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert job.counters.upstream_faults >= 1


@pytest.mark.parametrize(
    "act", [wrong(401, PROMPT), wrong(500, PROMPT), wrong(400, PROMPT), answers(200, PROMPT), GOOD]
)
async def test_no_log_line_tells_a_key_or_a_prompt(opened: Opened, act: Act) -> None:
    said = io.StringIO()
    handler, root = logging.StreamHandler(said), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with structlog.testing.capture_logs() as lines:
            async with opened(act, GOOD) as (house, _):
                job_id = await generate(house)
                await eventually(lambda: any(line["event"] == "llm.try" for line in lines))
                await house.until(job_id, lambda job: job.status is not Status.RUNNING)
                shown = f"{said.getvalue()} {lines} {house.heard} {(await house.look(job_id)).error}"
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    for canary in (KEY, PROMPT, ANSWER):
        assert canary not in shown
