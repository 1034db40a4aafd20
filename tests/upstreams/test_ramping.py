"""A queue that was paused gets back to full speed, and no sooner than it shall."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.house import House, eventually, on_memory
from tidegate.core.rules import QUEUE, scaled
from tidegate.core.upstream import Upstream, quiet
from tidegate.errors import Defer
from tidegate.upstreams import QueueCircuits, policies


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues that no test declares calm down in a fraction of a second."""
    monkeypatch.setattr(policies, "QUEUE", scaled(QUEUE, 120))


def _known(house: House, queue: str = "default") -> Upstream:
    return house.system.upstreams.upstream(f"queue:{queue}")


async def test_a_queue_that_was_resumed_gets_more_jobs_with_each_success_until_it_has_no_limit(house: House) -> None:
    running = most = 0

    async def call() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    house.job("call", call)
    circuits = QueueCircuits(house.system.upstreams)
    await circuits.pause_queue("default", author="ada")
    jobs = await house.submit_many("call", 400)
    await house.worker()
    await circuits.resume_queue("default", author="ada")
    assert _known(house).limit == 2
    await eventually(lambda: most > 2, 15)
    await house.all_ended(jobs, 30)
    await eventually(lambda: quiet(_known(house)), 15)


@on_memory
@pytest.mark.parametrize("ends", ["raises", "defers"])
async def test_in_a_queue_without_a_breaker_any_end_but_a_rate_limit_raises_the_limit(house: House, ends: str) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        if calls < 200:
            raise Defer("later", after=timedelta(milliseconds=1)) if ends == "defers" else ValueError("its own fault")

    house.job("call", call)
    await house.worker()
    await QueueCircuits(house.system.upstreams).resume_queue("default")
    await house.submit_many("call", 200, max_attempts=1)
    await eventually(lambda: (_known(house).limit or 9) > 2, 15)


@on_memory
async def test_a_pause_that_ran_out_ramps_up_as_one_that_was_ended(house: House) -> None:
    async def call() -> None:
        await asyncio.sleep(0.01)

    house.job("call", call)
    await house.worker()
    jobs = await house.submit_many("call", 100)
    await QueueCircuits(house.system.upstreams).pause_queue("default", last=timedelta(seconds=0.3))
    await house.all_ended(jobs, 30)
    await eventually(lambda: quiet(_known(house)), 15)


async def test_a_success_told_late_lifts_no_pause(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "QUEUE", QUEUE)
    circuits = QueueCircuits(house.system.upstreams)
    paused = circuits.known("low")
    for _ in range(5):
        await asyncio.sleep(0.02)  # those of one moment count as one
        paused = await circuits.record_queue_rate_limit_error("low")
    assert (paused.is_paused, paused.consecutive_errors) == (True, 5)
    assert await circuits.record_queue_success("low") == paused
