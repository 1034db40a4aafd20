"""Budgets of users: who has spent all waits, nobody else does, and each amount counts once whatever the store does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.upstreams.paid import DOLLAR, YEAR, calls, on_memory, paid_house, policies, process, purse
from tests.upstreams.shells import Process, Store
from tests.worker.house import QUICK, STORES, House, eventually, soon
from tidegate.clock import FakeClock
from tidegate.context import Context
from tidegate.core.budget import Budget
from tidegate.core.failure import BUDGET_SPENT
from tidegate.core.job import Status
from tidegate.core.upstream import Override
from tidegate.core.verbs import Swap
from tidegate.core.waiting import wait_reason
from tidegate.errors import EngineUnavailable, OutOfBudget, UpstreamUnavailable
from tidegate.upstreams import Call, purses
from tidegate.upstreams.purses import KIND


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh system whose upstreams have budgets, without a worker."""
    name: str = request.param
    async with paid_house(name, tmp_path) as house:
        yield house


async def test_a_user_who_has_spent_all_waits_for_the_window_s_end_and_nobody_else_does(house: House) -> None:
    made = calls(house, "call", 1, upstream="shared")
    await house.worker()
    await house.ended(await house.submit("call", user_id="ada"), within=30)
    hers = await house.submit("call", user_id="ada")
    deferred = await house.until(hers, lambda job: job.status is Status.QUEUED and job.counters.runs == 1, within=30)
    his = await house.ended(await house.submit("call", user_id="bob"), within=30)
    assert (his.status, made) == (Status.SUCCEEDED, ["ada", "bob"])
    assert (deferred.attempts, deferred.counters.interruptions) == (0, 1)
    ends = Budget(1, YEAR).ends(datetime.now(UTC))
    assert abs(deferred.run_at - ends) < timedelta(minutes=5)
    assert deferred.error is not None
    assert deferred.error.code == BUDGET_SPENT
    health = house.system.upstreams
    found = wait_reason(deferred, health.now(), health.known)
    assert found is not None
    assert found.code == "budget"
    assert "its user has spent the budget of $1.00 in 366 days for shared: it runs again at" in found.message


async def test_what_four_processes_spend_for_a_user_at_once_is_counted_exactly(house: House) -> None:
    fleet = [Process(house.engine, house.clock, policies(user=Budget(1_000, YEAR))) for _ in range(4)]
    call = Call(upstream="shared")

    async def spend(one: Process) -> None:
        for _ in range(5):
            one.health.budgets.spent(call, "ada", 7)
            await one.health.budgets.told(call, "ada")

    await asyncio.gather(*(spend(one) for one in fleet for _ in range(2)))
    assert await purse(house.engine) == 4 * 2 * 5 * 7


async def test_two_processes_refuse_a_user_s_calls_from_the_first_that_is_too_much(house: House) -> None:
    made, slots = calls(house, "call", 0.1, upstream="shared"), 2
    async with process(house, policies()) as other:
        await house.worker(replace(QUICK, slots=slots))
        await house.worker_on(replace(house.runtime, upstreams=other.health, settings=replace(QUICK, slots=slots)))
        jobs = await house.submit_many("call", 30, user_id="ada")
        for job in jobs:
            await house.until(job, lambda job: job.status is not Status.RUNNING and job.counters.runs == 1, within=60)
    assert 10 <= len(made) < 10 + 2 * slots


@on_memory
async def test_an_operator_who_switches_all_off_lets_users_spend_too(house: House) -> None:
    budgets = house.system.upstreams.budgets
    budgets.spent(Call(upstream="shared"), "ada", 2 * DOLLAR)
    with pytest.raises(OutOfBudget, match="its user has spent the budget"):
        budgets.refuse(["upstream:shared"], "ada")
    await house.system.upstreams.override("upstream:shared", Override.OFF, author="ada")
    budgets.refuse(["upstream:shared"], "ada")
    assert not budgets.concern(["upstream:shared"], "ada")


async def test_an_operator_s_reset_gives_no_user_money_but_a_higher_budget_does_at_once(house: House) -> None:
    call, gates = Call(upstream="shared"), ["upstream:shared"]
    here = house.system.upstreams
    here.budgets.spent(call, "ada", DOLLAR)
    await here.budgets.told(call, "ada")
    await here.reset("upstream:shared", author="op")
    assert await purse(house.engine) == DOLLAR
    with pytest.raises(OutOfBudget):
        await here.budgets.check(gates, "ada")
    restarted = Process(house.engine, house.clock, policies(user=Budget(2, YEAR)))
    await restarted.health.budgets.check(gates, "ada")


@on_memory
async def test_a_handler_that_does_without_a_refused_call_says_nothing_of_the_upstream(house: House) -> None:
    async def call(ctx: Context) -> str:
        try:
            async with ctx.upstream("shared"):
                return "called"
        except UpstreamUnavailable as refused:
            return str(refused)

    house.job("call", call, upstream="shared")
    house.system.upstreams.budgets.spent(Call(upstream="shared"), "ada", DOLLAR)
    await house.worker()
    job = await house.submit("call", user_id="ada")
    assert (await house.ended(job)).status is Status.SUCCEEDED
    assert await house.result(job) == b'"its user has spent the budget of $1.00 in 366 days for shared"'
    assert house.system.upstreams.marks("call", "shared")  # so the run as a whole is no call that succeeded


@on_memory
async def test_jobs_of_nobody_have_no_user_s_budget(house: House) -> None:
    house.system.upstreams.budgets.spent(Call(upstream="shared"), "", 2 * DOLLAR)
    assert not house.system.upstreams.budgets.concern(["upstream:shared"], "")


async def test_purses_whose_window_is_over_are_forgotten(house: House) -> None:
    short = Process(house.engine, house.clock, policies(user=Budget(1, timedelta(seconds=1))))
    long = Process(house.engine, house.clock, policies())
    for one, user in ((short, "ada"), (long, "bob")):
        one.health.budgets.spent(Call(upstream="shared"), user, 5)
        await one.health.budgets.told(Call(upstream="shared"), user)
    async with asyncio.timeout(20):
        while [document.key for document in await house.engine.scan(KIND)] != ["shared/bob"]:
            await long.health.budgets.prune()
            await asyncio.sleep(0.1)


# stores that fail -------------------------------------------------------------------------------------------------


async def test_an_amount_whose_answer_was_lost_counts_once_also_where_others_wrote_meanwhile() -> None:
    clock = FakeClock()
    store = Store(clock)
    here, there = Process(store, clock, policies()), Process(store, clock, policies())
    call, both = Call(upstream="paid"), Call(upstream="shared")
    store.lost = 2
    here.health.budgets.spent(call, "ada", 10)
    here.health.budgets.spent(both, "ada", 10)
    await here.health.budgets.close()
    assert here.health.keeper.tallies.untold("upstream:paid") == 10  # it is not known that it arrived
    there.health.budgets.spent(call, "ada", 5)
    there.health.budgets.spent(both, "ada", 5)
    await there.health.budgets.close()
    here.health.budgets.spent(call, "ada", 1)
    here.health.budgets.spent(both, "ada", 1)
    await here.health.budgets.close()
    assert here.known("paid").spending.micros == 16
    assert await purse(store) == 16


async def test_while_the_store_hangs_a_user_is_held_by_what_this_process_knows() -> None:
    clock = FakeClock()
    store = Store(clock)
    here = Process(store, clock, policies())
    here.health.budgets.spent(Call(upstream="shared"), "ada", DOLLAR)
    store.answers.clear()
    with pytest.raises(OutOfBudget):
        await soon(here.health.budgets.check(["upstream:shared"], "ada"), within=20)
    await soon(here.health.budgets.check(["upstream:shared"], "bob"), within=20)
    store.answers.set()


async def test_what_could_not_be_told_is_told_once_the_store_is_back() -> None:
    clock = FakeClock()
    store = Store(clock)
    here = Process(store, clock, policies())
    duty = asyncio.create_task(here.health.budgets.work())
    store.refusing = EngineUnavailable("away")
    here.health.budgets.spent(Call(upstream="shared"), "ada", 7)
    await here.health.budgets.told(Call(upstream="shared"), "ada")
    store.refusing = ValueError("nobody expects this")
    await eventually(lambda: store.asked["swap"] >= 3)  # the duty goes on, whatever is raised
    store.refusing = None
    await eventually(lambda: not here.health.budgets.purses.owing())
    duty.cancel()
    await asyncio.gather(duty, return_exceptions=True)
    assert await purse(store) == 7


async def test_few_users_are_remembered_but_none_who_owes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purses, "MOST_KNOWN", 4)
    clock = FakeClock()
    here = Process(Store(clock), clock, policies())
    here.health.budgets.spent(Call(upstream="shared"), "debtor", 7)
    for number in range(50):
        await here.health.budgets.check(["upstream:shared"], f"user-{number}")
    assert here.health.budgets.purses.owing() == ["shared/debtor"]
    assert len(here.health.budgets.purses) <= 4


@pytest.mark.parametrize("value", [b"", b"{", b'{"micros": "much"}', b'{"micros": 5, "since": "2026-01-01T00:00:00"}'])
async def test_a_purse_that_can_not_be_read_is_empty(value: bytes) -> None:
    clock = FakeClock()
    store = Store(clock)
    await store.swap(Swap(kind=KIND, key="shared/ada", value=value, expected=0, nonce="a"))
    here = Process(store, clock, policies())
    await here.health.budgets.check(["upstream:shared"], "ada")
    here.health.budgets.spent(Call(upstream="shared"), "ada", 7)
    await here.health.budgets.close()
    assert await purse(store) == 7


async def test_what_another_process_spent_for_a_user_is_known_at_the_next_call() -> None:
    clock = FakeClock()
    store = Store(clock)
    here, there = Process(store, clock, policies()), Process(store, clock, policies())
    await there.health.budgets.check(["upstream:shared"], "ada")
    here.health.budgets.spent(Call(upstream="shared"), "ada", DOLLAR)
    await here.health.budgets.told(Call(upstream="shared"), "ada")
    with pytest.raises(OutOfBudget) as refused:
        await there.health.budgets.check(["upstream:shared"], "ada")
    assert refused.value.until == Budget(1, YEAR).ends(clock.now())


async def test_a_process_that_ends_tells_what_it_had_not_told() -> None:
    clock = FakeClock()
    store = Store(clock)
    here, there = Process(store, clock, policies()), Process(store, clock, policies())
    here.health.budgets.spent(Call(upstream="paid"), "ada", 3)
    await here.health.budgets.close()
    await there.catch_up()
    assert there.known("paid").spending.micros == 3


async def test_small_amounts_cost_no_store_call_each() -> None:
    clock = FakeClock()
    store = Store(clock)
    here = Process(store, clock, policies())
    for _ in range(100):
        here.health.budgets.spent(Call(upstream="paid"), "ada", 400)
        await here.health.budgets.told(Call(upstream="paid"), "ada")
    assert store.asked["swap"] == 0
    await here.tell("paid")
    assert (store.asked["swap"], here.known("paid").spending.micros) == (1, 40_000)


async def test_a_call_is_refused_before_the_store_knows_that_all_is_spent() -> None:
    clock = FakeClock()
    here = Process(Store(clock), clock, policies())
    here.health.budgets.spent(Call(upstream="paid"), "ada", DOLLAR)
    with pytest.raises(UpstreamUnavailable) as refused:
        here.health.admit("paid", (), "a-job", {"upstream:paid": 0})
    assert refused.value.until == Budget(1, YEAR).ends(clock.now())
