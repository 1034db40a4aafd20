"""Budgets of money: who has spent all waits, at the price of no attempt, and nothing but calls under way passes one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest

from tests.upstreams.paid import DOLLAR, YEAR, Usage, calls, on_memory, paid_house, policies, process, spending
from tests.upstreams.shells import Process
from tests.worker.house import QUICK, STORES, House, eventually, open_house, url_of
from tidegate.clock import SystemClock, token
from tidegate.context import Context
from tidegate.core.budget import Budget
from tidegate.core.fairness import Turn
from tidegate.core.job import Owner, Phase, Status
from tidegate.core.lifecycle import phase
from tidegate.core.rules import API
from tidegate.core.upstream import Override, Upstream
from tidegate.core.verbs import ClaimRequest
from tidegate.core.waiting import wait_reason
from tidegate.errors import ConfigError, OutOfBudget
from tidegate.telemetry.events import UpstreamChanged
from tidegate.upstreams import Policies, UpstreamOptions, declared
from tidegate.upstreams.board import decode, encode


class Wrong(SystemClock):
    """A machine's clock that is off by so much."""

    def __init__(self, off: timedelta) -> None:
        self._off = off

    def now(self) -> datetime:
        """The machine's idea of the present."""
        return super().now() + self._off


async def _taken(house: House) -> int:
    """How many calls a worker may take now."""
    request = ClaimRequest(
        owner=Owner("worker"),
        turns=(Turn(queue="default", quota=9),),
        types=frozenset({"call"}),
        limit=9,
        lease_for=timedelta(seconds=60),
    )
    return len((await house.engine.claim(request, token())).leases)


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh system whose upstreams have budgets, without a worker."""
    name: str = request.param
    async with paid_house(name, tmp_path) as house:
        yield house


async def test_once_the_budget_is_spent_jobs_wait_in_their_lane_until_an_operator_lets_them(house: House) -> None:
    made = calls(house, "call", 0.5)
    await house.worker(replace(QUICK, slots=1))
    jobs = await house.submit_many("call", 5)
    await house.all_ended(jobs[:2], within=30)
    await eventually(lambda: spending(house) == DOLLAR)
    await asyncio.sleep(0.2)
    assert len(made) == 2
    waiting, health = await house.look(jobs[4]), house.system.upstreams
    found = wait_reason(waiting, health.now(), health.known)
    assert found is not None
    assert "paid has spent its budget of $1.00 in 366 days until 20" in found.message
    assert phase(waiting, health.now(), health.shut()) is Phase.PARKED
    await health.override("upstream:paid", Override.OFF, author="ada")
    for job in await house.all_ended(jobs, within=30):
        assert (job.status, job.attempts, job.counters.runs) == (Status.SUCCEEDED, 1, 1)


async def test_two_processes_that_race_pass_a_budget_by_no_more_than_the_calls_under_way(house: House) -> None:
    made, slots = calls(house, "call", 0.05), 3
    async with process(house, policies()) as other:
        await house.worker(replace(QUICK, slots=slots))
        await house.worker_on(replace(house.runtime, upstreams=other.health, settings=replace(QUICK, slots=slots)))
        jobs = await house.submit_many("call", 60)
        await eventually(lambda: spending(house) >= DOLLAR, within=60)
        for job in jobs:  # none is claimed any more: whatever runs was claimed before
            await house.until(job, lambda job: job.status is not Status.RUNNING, within=60)
        await house.system.upstreams.keeper.refresh()
    assert spending(house) == len(made) * 50_000  # none was lost, and none counted twice
    assert 20 <= len(made) < 20 + 2 * slots
    assert {(await house.look(job)).attempts for job in jobs} <= {0, 1}


async def test_whoever_raises_the_budget_opens_the_gate_at_once(house: House) -> None:
    made = calls(house, "call", 1)
    worker = await house.worker()
    await house.ended(await house.submit("call"), within=30)
    await eventually(lambda: spending(house) == DOLLAR)
    waits = await house.submit("call")
    await asyncio.sleep(0.2)
    assert (await house.look(waits)).status is Status.QUEUED
    await house.stop(worker)
    async with process(house, policies(Budget(2, YEAR))) as richer:
        await house.worker_on(replace(house.runtime, upstreams=richer.health))
        assert (await house.ended(waits, within=30)).attempts == 1
    assert len(made) == 2


@pytest.mark.parametrize("days", [-2, 2])
async def test_a_process_that_begins_with_a_wrong_clock_reopens_no_spent_budget(house: House, days: int) -> None:
    made, known = calls(house, "call", 1), policies(Budget(1, timedelta(days=1)))
    async with process(house, known) as spender:
        worker = await house.worker_on(replace(house.runtime, upstreams=spender.health))
        await house.ended(await house.submit("call"), within=30)
        await spender.tell("paid")
        assert spender.known("paid").spending.micros == DOLLAR
        await house.stop(worker)
    waits, wrong = await house.submit("call"), Process(house.engine, Wrong(timedelta(days=days)), known)
    await wrong.health.keeper.refresh()
    await wrong.health.keeper.declare()
    await wrong.health.keeper.bound("upstream:paid")
    assert not await _taken(house)
    assert ((await house.look(waits)).status, len(made)) == (Status.QUEUED, 1)


@on_memory
async def test_nearly_spent_and_spent_are_told_once_each(house: House) -> None:
    calls(house, "call", 0.4)
    await house.worker(replace(QUICK, slots=1))
    await house.all_ended(await house.submit_many("call", 2))
    await house.submit("call")
    await eventually(lambda: spending(house) >= DOLLAR)
    told = [event.transition.to for event in house.events(UpstreamChanged)]
    assert told == ["nearly_spent", "spent"]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_when_the_window_ends_jobs_flow_again_by_themselves(store: str, tmp_path: Path) -> None:
    known = policies(Budget(1, timedelta(seconds=2)))
    async with url_of(store, tmp_path) as url, open_house(tmp_path, url, known) as house:
        calls(house, "call", 1)
        await house.worker(replace(QUICK, slots=1))
        first, second = await house.all_ended(await house.submit_many("call", 2), within=30)
        assert first.started_at is not None
        assert second.started_at is not None
        budget = Budget(1, timedelta(seconds=2))
        assert budget.begins(first.started_at) < budget.begins(second.started_at)
        assert (second.attempts, second.counters.runs) == (1, 1)


@on_memory
async def test_what_a_child_s_calls_cost_counts_for_the_parent_that_has_the_budget(house: House) -> None:
    made = calls(house, "call", 1, upstream="child")
    await house.worker()
    await house.ended(await house.submit("call"))
    await eventually(lambda: spending(house) == DOLLAR)
    waits = await house.submit("call")
    await asyncio.sleep(0.2)
    assert ((await house.look(waits)).counters.runs, len(made)) == (1, 1)
    assert (await house.look(waits)).attempts == 0  # its lane has no such gate: it was refused at its call


@on_memory
async def test_of_a_run_with_many_calls_the_next_one_is_refused_and_the_run_uses_no_attempt(house: House) -> None:
    made = 0

    async def call(ctx: Context) -> None:
        nonlocal made
        for _ in range(5):
            async with ctx.upstream("paid") as one:
                made += 1
                one.spent(Usage(400_000))

    house.job("call", call, upstream="paid")
    await house.worker()
    job = await house.until(
        await house.submit("call"), lambda job: job.status is Status.QUEUED and job.counters.runs == 1
    )
    assert (made, job.attempts, job.counters.interruptions) == (3, 0, 1)


@on_memory
async def test_a_plain_function_in_a_thread_is_bound_too(house: House) -> None:
    def call(ctx: Context) -> None:
        for name in ("paid", "shared"):
            with ctx.upstream(name) as one:
                one.spent(Usage(DOLLAR))

    house.job("call", call)
    await house.worker()
    assert (await house.ended(await house.submit("call", user_id="ada"))).status is Status.SUCCEEDED
    assert spending(house) == DOLLAR
    with pytest.raises(OutOfBudget):
        await house.system.upstreams.budgets.check(["upstream:shared"], "ada")


@on_memory
async def test_what_nobody_knows_the_price_of_is_said_once_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(ctx: Context) -> None:
        for cost in (None, None, -5):
            async with ctx.upstream("paid") as one:
                one.spent(Usage(cost))

    house.job("call", call, upstream="paid")
    await house.worker()
    await house.ended(await house.submit("call"))
    assert [record.message for record in caplog.records if "budget" in record.message] == [
        "upstream:paid has a budget, but what its calls cost is not known: give prices"
    ]
    assert spending(house) == 0


@on_memory
async def test_whatever_a_handler_says_of_cost_its_run_goes_on_and_one_absurd_word_shuts_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(ctx: Context) -> None:
        for cost in (10**400, 10**400, float("inf"), float("nan"), 0.4, 0.4):
            async with ctx.upstream("paid") as one:
                one.spent(replace(Usage(None, input_tokens=10**400), cost=cast("int", cost)))

    house.job("call", call, upstream="paid")
    await house.worker()
    job = await house.submit("call")
    assert (await house.ended(job)).status is Status.SUCCEEDED
    await house.system.upstreams.budgets.close()
    assert spending(house) == 2  # each is rounded up
    assert [record.message for record in caplog.records if "upstream:paid" in record.message] == [
        "a call to upstream:paid that is said to cost more than $1,000.00 does not count",
        "upstream:paid has a budget, but what its calls cost is not known: give prices",
    ]
    entries = await house.system.client.spent(await house.look(job))
    assert [entry.cost for entry in entries] == [None, None, None, None, 1, 1]


@on_memory
async def test_a_run_that_says_of_cost_what_is_no_number_ends_without_an_account(house: House) -> None:
    async def call(ctx: Context) -> None:
        async with ctx.upstream("free") as one:
            one.spent(Usage(cast("int", "0.10")))

    house.job("call", call, upstream="free")
    await house.worker()
    job = await house.submit("call")
    assert (await house.ended(job)).status is Status.SUCCEEDED
    assert await house.system.client.spent(await house.look(job)) == []


async def test_an_operator_s_reset_lets_as_much_be_spent_again(house: House) -> None:
    calls(house, "call", 1)
    await house.worker(replace(QUICK, slots=1))
    await house.ended(await house.submit("call"), within=30)
    await eventually(lambda: spending(house) == DOLLAR)
    waits = await house.submit("call")
    await asyncio.sleep(0.1)
    assert (await house.look(waits)).status is Status.QUEUED
    await house.system.upstreams.reset("upstream:paid", author="ada")
    assert (await house.ended(waits, within=30)).status is Status.SUCCEEDED
    await eventually(lambda: spending(house) == DOLLAR)


def test_what_is_no_budget_is_refused_where_it_is_declared() -> None:
    for option in ("budget", "budget_per_user"):
        with pytest.raises(ConfigError, match=f"upstream 'paid': {option} must be a Budget, as in {option}=Budget"):
            declared(Policies(), "paid", cast("UpstreamOptions", {option: 50}))


def test_rules_that_have_a_budget_keep_it_unless_another_is_given() -> None:
    own = replace(API, budget=Budget(5))
    kept = declared(Policies(), "paid", {"rules": own, "limit": 2})
    given = declared(Policies(), "paid", {"rules": own, "budget": Budget(9), "budget_per_user": Budget(1)})
    assert kept.rules("upstream:paid").budget == Budget(5)
    assert given.rules("upstream:paid").budget == Budget(9)
    assert (kept.bounds_users, given.bounds_users) == (False, True)


def test_documents_from_before_there_were_budgets_are_read() -> None:
    old = msgspec.json.decode(encode(Upstream(era=7, usual=1.5)))
    del old["spending"]
    assert decode(msgspec.json.encode(old)) == Upstream(era=7, usual=1.5)
