"""What the health of upstreams makes of jobs: which are claimed, and what a failed run costs."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.house import House, eventually
from tidegate.context import Context
from tidegate.core.fault import Fault
from tidegate.core.job import Lane, Phase, Status
from tidegate.core.lifecycle import phase
from tidegate.core.upstream import State, state
from tidegate.core.waiting import wait_reason
from tidegate.errors import Defer, UpstreamUnavailable
from tidegate.telemetry.events import UpstreamChanged


class ProviderError(Exception):
    """What an HTTP client raises for a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status_code = status


class Provider:
    """An upstream that does as it is told, and counts."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.calls = 0

    def call(self) -> None:
        """One call."""
        self.calls += 1
        if self.status == 408:
            raise TimeoutError
        if self.status != 200:
            raise ProviderError(self.status)


def _state(house: House, name: str = "upstream:api") -> State:
    health = house.system.upstreams
    return state(health.upstream(name), health.now())


def _opened(house: House, gate: str = "upstream:api") -> int:
    return sum(e.gate == gate and e.transition.to == State.OPEN for e in house.events(UpstreamChanged))


@pytest.mark.parametrize("status", [500, 429, 408])
async def test_six_faults_open_and_then_no_job_is_tried_until_one_probe_closes(house: House, status: int) -> None:
    provider = Provider(status)

    async def call() -> None:
        provider.call()

    house.job("call", call, upstream="api")
    await house.worker()
    jobs = await house.submit_many("call", 20)
    await eventually(lambda: _state(house) is not State.CLOSED)
    await asyncio.sleep(0.1)
    tried = provider.calls
    assert 6 <= tried <= 10  # as many as ran at once
    await asyncio.sleep(0.2)
    assert provider.calls == tried
    provider.status = 200
    for job in await house.all_ended(jobs):
        assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert _opened(house) == 1
    assert _state(house) is State.CLOSED


async def test_a_lonely_job_on_a_dead_upstream_opens_it_and_is_not_buried(house: House) -> None:
    provider = Provider(503)

    async def call() -> None:
        provider.call()

    house.job("call", call, upstream="other")
    house.system.upstreams.policies.rules("upstream:other")
    await house.worker()
    job_id = await house.submit("call", max_attempts=1)
    await eventually(lambda: provider.calls >= 2, within=8)
    job = await house.look(job_id)
    assert (job.status.finished, job.counters.attempts - (job.status is Status.RUNNING)) == (False, 0)
    provider.status = 200
    assert (await house.ended(job_id, within=10)).status is Status.SUCCEEDED


async def test_a_dead_upstream_holds_up_nobody_else(house: House) -> None:
    provider = Provider(500)

    async def call() -> None:
        provider.call()

    async def other() -> None: ...

    house.job("call", call, upstream="api")
    house.job("other", other, upstream="other")
    await house.worker()
    parked = await house.submit_many("call", 30)
    await eventually(lambda: _state(house) is not State.CLOSED)
    for job in await house.all_ended(await house.submit_many("other", 50)):
        assert job.status is Status.SUCCEEDED
    assert not any([(await house.look(job_id)).status.finished for job_id in parked])


async def test_a_poison_job_opens_nothing_while_others_succeed(house: House) -> None:
    async def call(payload: dict[str, bool]) -> None:
        await asyncio.sleep(0.01)
        if payload.get("poison"):
            raise ProviderError(500)

    house.job("call", call, upstream="api")
    await house.worker()
    await house.submit("call", payload=b'{"poison":true}')
    for _ in range(12):
        await house.all_ended(await house.submit_many("call", 2))
        await asyncio.sleep(0.05)
    assert _opened(house) == 0


async def test_a_parked_job_says_what_it_waits_for_and_until_when(house: House) -> None:
    provider = Provider(500)

    async def call() -> None:
        provider.call()

    house.job("call", call, upstream="api")
    worker = await house.worker()
    [job_id, *_] = await house.submit_many("call", 8)
    await eventually(lambda: _state(house) is State.OPEN)
    await house.stop(worker)
    health, job = house.system.upstreams, await house.look(job_id)
    reason = wait_reason(job, health.now(), health.known)
    assert reason is not None
    assert (reason.code, reason.gate) in {("parked", "upstream:api"), ("retrying", None)}
    assert reason.until is not None
    assert phase(job, max(health.now(), job.run_at), health.shut()) is Phase.PARKED


async def test_a_marked_call_parks_the_job_at_that_upstream_and_costs_no_attempt(house: House) -> None:
    provider = Provider(502)
    seen: list[str] = []

    async def call(ctx: Context) -> None:
        async with ctx.upstream("other"):
            provider.call()
        seen.append(ctx.job_id)

    house.job("call", call)
    await house.worker()
    jobs = await house.submit_many("call", 10, max_attempts=1)
    await eventually(lambda: _opened(house, "upstream:other") >= 1)
    await asyncio.sleep(0.1)
    lanes = {(await house.look(job_id)).lane for job_id in jobs}
    assert Lane(upstream="other") in lanes
    provider.status = 200
    assert {job.status for job in await house.all_ended(jobs, within=12)} == {Status.SUCCEEDED}
    assert sorted(seen) == sorted(jobs)


async def test_a_handler_that_catches_an_open_upstream_goes_on_without_it(house: House) -> None:
    health = house.system.upstreams

    def plain(ctx: Context) -> str:
        try:
            with ctx.upstream("api"):
                return "asked"
        except UpstreamUnavailable:
            return "made up"

    house.job("call", plain)
    await house.worker()
    await house.ended(await house.submit("call"))
    for number in range(6):
        health.failed(health.admit("api", (), f"j{number}", {}), Fault.SERVER_ERROR, timedelta(seconds=0.001))
    await eventually(lambda: _state(house) is State.OPEN)
    job_id = await house.submit("call")
    await house.ended(job_id)
    assert await house.result(job_id) == b'"made up"'


async def test_defer_runs_the_job_again_without_an_attempt(house: House) -> None:
    runs = 0

    async def call(ctx: Context) -> int:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise Defer("not yet", after=timedelta(milliseconds=20))
        return ctx.attempt

    house.job("call", call)
    await house.worker()
    job = await house.ended(await house.submit("call", max_attempts=1))
    assert (job.status, job.attempts, job.counters.runs, job.counters.interruptions) == (Status.SUCCEEDED, 1, 4, 3)


async def test_a_bad_request_is_the_job_s_own_and_opens_nothing(house: House) -> None:
    async def call() -> None:
        raise ProviderError(400)

    house.job("call", call, upstream="api")
    await house.worker()
    for job in await house.all_ended(await house.submit_many("call", 10, max_attempts=1)):
        assert (job.status, job.attempts) == (Status.FAILED, 1)
    assert _opened(house) == 0


async def test_five_rate_limits_pause_the_queue_content_and_it_resumes_by_itself(house: House) -> None:
    provider, running = Provider(200), 0

    async def call() -> None:
        if provider.status != 200:
            provider.calls += 1
            raise RuntimeError("the model says: Rate limit exceeded")

    house.job("call", call, queue="content")
    settings = house.runtime.settings
    worker = await house.worker(type(settings)(slots=1, queues={"content": 1}, poll=timedelta(seconds=0.05)))
    await house.ended(await house.submit("call"))
    provider.status = 429
    jobs = await house.submit_many("call", 12)
    await eventually(lambda: _opened(house, "queue:content") == 1)
    await asyncio.sleep(0.1)
    assert provider.calls == 5
    provider.status = 200
    for job in await house.all_ended(jobs):
        assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert worker.running == running


@pytest.mark.parametrize("threaded", [False, True])
async def test_jobs_that_wait_in_no_lane_find_out_that_an_upstream_is_well_by_one_probe(
    house: House, *, threaded: bool
) -> None:
    provider, probes = Provider(500), 0

    async def ask(ctx: Context) -> str:
        nonlocal probes
        try:
            async with ctx.upstream("inline"):
                probes += _state(house, "upstream:inline") is State.HALF_OPEN
                await asyncio.sleep(0.05)
                provider.call()
                return "asked"
        except (UpstreamUnavailable, ProviderError):
            return "made up"

    def ask_in_a_thread(ctx: Context) -> str:
        try:
            with ctx.upstream("inline"):
                provider.call()
                return "asked"
        except (UpstreamUnavailable, ProviderError):
            return "made up"

    house.job("ask", ask_in_a_thread if threaded else ask)
    await house.worker()
    await house.all_ended(await house.submit_many("ask", 8))
    await eventually(lambda: _state(house, "upstream:inline") is State.OPEN)
    health = house.system.upstreams
    provider.status, calls = 200, provider.calls
    await eventually(lambda: _state(house, "upstream:inline") is State.HALF_OPEN, within=15)
    jobs = await house.submit_many("ask", 8)
    await house.all_ended(jobs)
    results = [await house.result(job_id) for job_id in jobs]
    assert b'"asked"' in results
    assert threaded or probes == 1
    assert provider.calls - calls >= 1
    await eventually(lambda: _state(house, "upstream:inline") is State.CLOSED)
    assert health.upstream("upstream:inline").opens == 0


async def test_a_declared_limit_holds_from_the_first_job_on(house: House) -> None:
    together, most = 0, 0

    async def call() -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.02)
        together -= 1

    house.job("call", call, upstream="narrow")
    await house.worker()
    await house.all_ended(await house.submit_many("call", 12))
    assert most == 3


async def test_the_second_call_of_a_run_and_every_one_in_another_lane_are_charged_to_the_pace(house: House) -> None:
    async def call(ctx: Context) -> None:
        for _ in range(3):
            async with ctx.upstream("paced"):
                pass

    house.job("inside", call, upstream="paced")
    house.job("outside", call)
    await house.worker()
    health = house.system.upstreams
    for job, starts in ("inside", 2), ("outside", 3):
        owed = health.upstream("upstream:paced").owed_until or health.now()
        await house.ended(await house.submit(job))
        await health.keeper.flush("upstream:paced")
        charged = (health.upstream("upstream:paced").owed_until or owed) - owed
        assert charged >= timedelta(milliseconds=50 * (starts - 1)), job
        assert charged < timedelta(seconds=5), job
