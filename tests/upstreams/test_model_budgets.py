"""Real calls over HTTP to models whose answers say what they used: budgets stop them, and fallbacks serve."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from tests.llm.calls import ASK, MODEL, completion, quick
from tests.servers.scripted import answers, scripted
from tests.worker.house import QUICK, STORES, House, eventually, open_house, url_of
from tidegate.context import Context, Result
from tidegate.core.budget import Budget
from tidegate.core.job import Status
from tidegate.core.rules import API
from tidegate.llm import LLM, Chain, Prices, Provider
from tidegate.upstreams import Call, Known, Policies

YEAR: Final = timedelta(days=366)

TWO_CALLS: Final = Budget(Decimal("0.000120"), YEAR)
"""A call of 10 tokens in and 5 out costs 60 micro-dollars."""


def policies() -> Policies:
    return Policies(
        upstreams={
            "dear": Known(rules=replace(API, budget=TWO_CALLS)),
            "shared": Known(rules=replace(API, budget_per_user=TWO_CALLS)),
        }
    )


def model(url: str, upstream: str) -> LLM:
    prices = {MODEL: Prices(input=Decimal(2), output=Decimal(8))}
    return LLM(Provider(name=upstream, model=MODEL, base_url=url, prices=prices), policy=quick())


@asynccontextmanager
async def opened(store: str, path: Path) -> AsyncIterator[House]:
    async with url_of(store, path) as url, open_house(path, url, policies()) as house:
        yield house


@pytest.mark.parametrize("store", STORES)
async def test_a_model_is_called_until_its_budget_is_spent_and_then_another_one_serves(
    store: str, tmp_path: Path
) -> None:
    async with (
        opened(store, tmp_path) as house,
        scripted(answers(200, completion())) as server,
        model(server.url, "dear") as dear,
        model(server.url, "cheap") as cheap,
    ):
        chain = Chain([dear, cheap])

        async def ask(ctx: Context) -> Result[str]:
            reply = await chain.chat(ASK, guard=ctx)
            return Result(value=reply.text, degraded=reply.degraded, served_by=reply.served_by)

        house.job("ask", ask, upstream="dear", when_open_run="fallback")
        await house.worker(replace(QUICK, slots=1))
        jobs = await house.all_ended(await house.submit_many("ask", 4), within=30)
    assert [job.served_by for job in jobs] == ["dear", "dear", "cheap", "cheap"]
    assert [(job.status, job.attempts, job.degraded) for job in jobs[2:]] == [(Status.SUCCEEDED, 1, True)] * 2
    assert len(server.requests) == 4


async def test_a_job_waits_for_a_fallback_that_is_down_rather_than_for_money(tmp_path: Path) -> None:
    down, good = answers(503, {"error": {"message": "no"}}), answers(200, completion())
    async with (
        opened("memory", tmp_path) as house,
        scripted(down, down, good) as server,
        model(server.url, "dear") as dear,
        model(server.url, "cheap") as cheap,
    ):
        chain = Chain([dear, cheap])

        async def ask(ctx: Context) -> Result[str]:
            reply = await chain.chat(ASK, guard=ctx)
            return Result(value=reply.text, served_by=reply.served_by)

        house.job("ask", ask, upstream="dear", when_open_run="fallback")
        house.system.upstreams.budgets.spent(Call(upstream="dear"), "ada", 120)
        await house.worker()
        job = await house.ended(await house.submit("ask"), within=30)
    assert (job.served_by, job.attempts, job.counters.upstream_faults) == ("cheap", 1, 1)


@pytest.mark.parametrize("store", STORES)
async def test_no_call_is_made_for_a_user_who_has_spent_the_budget(store: str, tmp_path: Path) -> None:
    async with (
        opened(store, tmp_path) as house,
        scripted(answers(200, completion())) as server,
        model(server.url, "shared") as llm,
    ):

        async def ask(ctx: Context) -> str:
            return (await llm.chat(ASK, guard=ctx)).text

        house.job("ask", ask, upstream="shared")
        await house.worker(replace(QUICK, slots=1))
        jobs = await house.submit_many("ask", 3, user_id="ada")
        for job in await house.all_ended(jobs[:2], within=30):
            assert job.status is Status.SUCCEEDED
        waits = await house.until(jobs[2], lambda job: job.error is not None, within=30)
        others = await house.ended(await house.submit("ask", user_id="bob"), within=30)
    assert (waits.status, waits.attempts) == (Status.QUEUED, 0)
    assert others.status is Status.SUCCEEDED
    assert len(server.requests) == 3


async def test_tries_that_failed_are_paid_for_too(tmp_path: Path) -> None:
    refusal = completion("no", finish="content_filter")
    async with (
        opened("memory", tmp_path) as house,
        scripted(answers(200, refusal)) as server,
        model(server.url, "dear") as llm,
    ):

        async def ask(ctx: Context) -> str:
            return (await llm.chat(ASK, guard=ctx)).text

        house.job("ask", ask, upstream="dear")
        await house.worker(replace(QUICK, slots=1))
        jobs = await house.submit_many("ask", 3, max_attempts=1)
        for job in await house.all_ended(jobs[:2]):
            assert job.status is Status.FAILED
        health = house.system.upstreams
        await eventually(lambda: health.upstream("upstream:dear").spending.until is not None)
    assert len(server.requests) == 2


@pytest.mark.parametrize("said", [None, {}, {"prompt_tokens": 1e23}, {"cost": 1_000_000}])
async def test_that_a_provider_does_not_say_what_calls_cost_is_told_once_and_shuts_nothing(
    said: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        opened("memory", tmp_path) as house,
        scripted(answers(200, completion(usage=said))) as server,
        model(server.url, "dear") as llm,
    ):

        async def ask(ctx: Context) -> str:
            return (await llm.chat(ASK, guard=ctx)).text

        house.job("ask", ask, upstream="dear")
        await house.worker(replace(QUICK, slots=1))
        for job in await house.all_ended(await house.submit_many("ask", 3), within=30):
            assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert [record.message for record in caplog.records if "budget" in record.message] == [
        "upstream:dear has a budget, but what its calls cost is not known: give prices"
    ]
