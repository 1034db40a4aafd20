"""Which call a failed run is put down to, whatever the handler makes of the exception."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.upstreams.test_claiming import Provider, ProviderError
from tests.worker.house import House, eventually, on_memory
from tidegate.context import Context
from tidegate.core.fault import Fault
from tidegate.core.job import Status
from tidegate.core.upstream import State, state
from tidegate.errors import Defer, UpstreamUnavailable

Way = Callable[[Context, Provider], Awaitable[None]]


class OwnError(Exception):
    """What a handler makes of another's exception."""


async def _in_a_group(ctx: Context, provider: Provider) -> None:
    async def one() -> None:
        async with ctx.upstream("api"):
            provider.call()

    async with asyncio.TaskGroup() as group:
        group.create_task(one())


async def _in_disguise(ctx: Context, provider: Provider) -> None:
    try:
        async with ctx.upstream("api"):
            provider.call()
    except ProviderError as exc:
        raise OwnError from exc


async def _cut_off(ctx: Context, provider: Provider) -> None:
    async with asyncio.timeout(0.02):
        async with ctx.upstream("api"):
            if provider.status != 200:
                await asyncio.sleep(5)


@on_memory
@pytest.mark.parametrize("way", [_in_a_group, _in_disguise, _cut_off])
async def test_an_upstream_s_fault_costs_no_attempt_however_it_leaves_the_handler(house: House, way: Way) -> None:
    provider = Provider(503)

    async def call(ctx: Context) -> None:
        await way(ctx, provider)

    house.job("call", call)
    await house.worker()
    jobs = await house.submit_many("call", 8, max_attempts=1)
    health = house.system.upstreams
    await eventually(lambda: state(health.upstream("upstream:api"), health.now()) is not State.CLOSED)
    provider.status = 200
    assert {job.status for job in await house.all_ended(jobs, within=15)} == {Status.SUCCEEDED}


@on_memory
async def test_a_fault_of_the_handler_s_own_uses_its_attempts_though_the_lane_has_an_upstream(house: House) -> None:
    async def call(ctx: Context) -> None:
        async with ctx.upstream("api"):
            pass
        raise ProviderError(500)

    house.job("call", call, upstream="api")
    await house.worker()
    job = await house.ended(await house.submit("call", max_attempts=1))
    assert (job.status, job.attempts) == (Status.FAILED, 1)


@on_memory
async def test_one_job_s_refusals_block_no_upstream(house: House) -> None:
    async def call(payload: dict[str, bool]) -> None:
        if payload.get("forbidden"):
            raise ProviderError(403)

    house.job("call", call, upstream="api")
    await house.worker()
    await house.submit("call", payload=b'{"forbidden":true}')
    await asyncio.sleep(0.5)
    assert {job.status for job in await house.all_ended(await house.submit_many("call", 5))} == {Status.SUCCEEDED}


@on_memory
@pytest.mark.parametrize("error", [Defer("later", upstream="No Name\ud800"), UpstreamUnavailable("No Name")])
async def test_a_name_that_is_none_fails_the_job_and_harms_nobody(house: House, error: Exception) -> None:
    async def call() -> None:
        raise error

    async def other() -> None: ...

    house.job("call", call)
    house.job("other", other)
    await house.worker()
    assert (await house.ended(await house.submit("call"))).status is Status.FAILED
    assert (await house.ended(await house.submit("other"))).status is Status.SUCCEEDED


@on_memory
async def test_a_job_that_always_fails_leaves_the_probe_to_others(house: House) -> None:
    health = house.system.upstreams

    async def call(payload: dict[str, bool]) -> None:
        if payload.get("poison"):
            raise ProviderError(500)

    house.job("call", call, upstream="api")
    for number in range(6):
        health.failed(health.admit("api", (), f"j{number}", {}), Fault.SERVER_ERROR, timedelta(seconds=0.001))
    await eventually(lambda: state(health.upstream("upstream:api"), health.now()) is State.OPEN)
    await house.submit("call", payload=b'{"poison":true}')
    good = await house.submit_many("call", 5)
    await house.worker()
    assert {job.status for job in await house.all_ended(good, within=6)} == {Status.SUCCEEDED}


def test_a_deferral_is_kept_within_bounds() -> None:
    assert Defer("", after=timedelta(seconds=-5)).after == timedelta(milliseconds=100)
    assert Defer("", after=timedelta.max).after == timedelta(days=366)
