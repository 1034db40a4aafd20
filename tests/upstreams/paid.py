"""Houses whose upstreams have budgets, and what their tests ask of them again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.upstreams.shells import Process
from tests.worker.house import House, open_house, url_of
from tidegate.context import Context
from tidegate.core.budget import Budget, Spending, spent
from tidegate.core.rules import API
from tidegate.ports import Engine
from tidegate.upstreams import Known, Policies
from tidegate.upstreams.purses import KIND

YEAR = timedelta(days=366)
"""A window that no test outlasts."""

DOLLAR = 1_000_000


def policies(budget: Budget | None = None, user: Budget | None = None) -> Policies:
    return Policies(
        upstreams={
            "paid": Known(rules=replace(API, budget=budget or Budget(1, YEAR))),
            "shared": Known(rules=replace(API, budget_per_user=user or Budget(1, YEAR))),
            "child": Known(parents=("paid",)),
        }
    )


@asynccontextmanager
async def paid_house(store: str, path: Path) -> AsyncIterator[House]:
    """A fresh system whose upstreams have budgets, without a worker."""
    async with url_of(store, path) as url, open_house(path, url, policies()) as house:
        yield house


on_memory = pytest.mark.parametrize("house", ["memory"], indirect=True)


@dataclass(frozen=True, slots=True)
class Usage:
    """As `llm.values.Usage`."""

    cost: int | None
    input_tokens: int = 1
    output_tokens: int = 1


def calls(house: House, name: str, dollars: float, upstream: str = "paid") -> list[str]:
    """A job type whose call to an upstream costs so much; the users whose calls were made."""
    made: list[str] = []

    async def call(ctx: Context) -> None:
        async with ctx.upstream(upstream) as one:
            made.append(ctx.user_id)
            one.spent(Usage(int(dollars * DOLLAR)))

    house.job(name, call, upstream=upstream)
    return made


def spending(house: House, name: str = "paid") -> int:
    health = house.system.upstreams
    rules = health.policies.rules(f"upstream:{name}")
    assert rules.budget is not None
    return spent(health.upstream(f"upstream:{name}").spending, rules.budget, health.now())


@asynccontextmanager
async def process(house: House, known: Policies) -> AsyncIterator[Process]:
    """Another process on the same store, its duties under way."""
    other = Process(house.engine, house.clock, known)
    await other.health.keeper.refresh()
    await other.health.keeper.declare()
    duties = [asyncio.create_task(duty) for duty in (other.health.keeper.work(), other.health.budgets.work())]
    try:
        yield other
    finally:
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)


async def purse(engine: Engine, user: str = "ada") -> int:
    """What a user has spent at `shared`, as the store has it."""
    [document] = await engine.load(KIND, [f"shared/{user}"])
    assert document.value is not None
    return msgspec.json.decode(document.value, type=Spending).micros
