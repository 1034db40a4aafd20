"""Clauses of `JobQueue.wait`: it ends in time, and at once where this process did something."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance import build
from tests.conformance.build import nonce, seconds
from tests.conformance.harness import Harness
from tests.conformance.promises import promise
from tidegate.core.job import Bury, JobId, Retry, Succeed
from tidegate.core.verbs import Cancellation, Gate, Revival, Settled, Swap

BURY = Bury(failure=build.failure())
AT_ONCE = 1.0
"""Seconds in which a waiter must be back, on a busy machine too; without a wake-up it would take a minute."""


@promise("wait.bounded")
@pytest.mark.parametrize("topics", [["queue:default"], ["job:none", "queue:a", "queue:b"], []])
@pytest.mark.parametrize("timeout", [0.0, 0.02])
async def test_a_wait_ends_within_its_timeout_though_nothing_happens(
    harness: Harness, topics: list[str], timeout: float
) -> None:
    async with asyncio.timeout(5):
        await harness.engine.wait(topics, seconds(timeout))


async def _waiting(harness: Harness, *topics: str) -> asyncio.Task[None]:
    waiter = asyncio.create_task(harness.engine.wait(topics, seconds(60)))
    await asyncio.sleep(0.01)  # let it begin to wait; where that was too short, `_woken` acts again
    return waiter


async def _woken(harness: Harness, topics: tuple[str, ...], act: Callable[[], Awaitable[object]]) -> bool:
    """Whether a wait for `topics` ends at once when `act` is done; a hint lost to a late waiter is sent again."""
    waiter = await _waiting(harness, *topics)
    try:
        for _ in range(3):
            await act()
            done, _ = await asyncio.wait({waiter}, timeout=AT_ONCE)
            if done:
                return True
        return False
    finally:
        waiter.cancel()


@promise("wait.wakes")
async def test_a_submit_ends_a_wait_for_its_queue(harness: Harness) -> None:
    assert await _woken(harness, ("queue:low", "queue:default"), lambda: build.submit_one(harness))


@promise("wait.wakes")
async def test_a_submit_in_another_thread_ends_a_wait_for_its_queue(harness: Harness) -> None:
    def submit_there() -> None:
        asyncio.run(harness.engine.submit([build.new_job()]))

    assert await _woken(harness, ("queue:default",), lambda: asyncio.to_thread(submit_there))


@promise("wait.wakes")
async def test_every_waiter_of_a_queue_is_woken(harness: Harness) -> None:
    others = [await _waiting(harness, "queue:default") for _ in range(5)]
    assert await _woken(harness, ("queue:default",), lambda: build.submit_one(harness))
    _, pending = await asyncio.wait(others, timeout=AT_ONCE)
    assert pending == set()


@promise("wait.wakes")
async def test_a_revival_ends_a_wait_for_its_queue(harness: Harness) -> None:
    dead = [await build.finish(harness, BURY) for _ in range(3)]

    async def revive() -> None:
        assert await harness.engine.revive([dead.pop()], nonce()) == [Revival.REVIVED]

    assert await _woken(harness, ("queue:default",), revive)


@promise("wait.wakes")
async def test_the_cancel_of_a_running_job_ends_a_wait_for_its_queue(harness: Harness) -> None:
    running = [(await build.start(harness)).job.id for _ in range(3)]

    async def cancel() -> None:
        assert await harness.engine.cancel([running.pop()], nonce()) == [Cancellation.REQUESTED]

    assert await _woken(harness, ("queue:default",), cancel)


@promise("wait.wakes")
async def test_a_gate_that_is_set_ends_a_wait_for_gates(harness: Harness) -> None:
    keys = iter("abc")

    async def swap() -> None:
        key = next(keys)
        gates = (Gate(name=f"upstream:{key}"),)
        swap = Swap(kind="upstream", key=key, value=b"{}", expected=0, nonce=nonce(), gates=gates)
        assert (await harness.engine.swap(swap)).won

    assert await _woken(harness, ("queue:low", "gates"), swap)


def _topics(ids: list[JobId]) -> tuple[str, ...]:
    return tuple(f"job:{job_id}" for job_id in ids)


@promise("wait.wakes")
async def test_the_cancel_of_a_waiting_job_ends_a_wait_for_it(harness: Harness) -> None:
    queued = await build.submit(harness, *(build.new_job() for _ in range(3)))
    topics = _topics(queued)

    async def cancel() -> None:
        assert await harness.engine.cancel([queued.pop()], nonce()) == [Cancellation.CANCELLED]

    assert await _woken(harness, topics, cancel)


@promise("wait.wakes")
async def test_an_ending_ends_a_wait_for_its_job(harness: Harness) -> None:
    leases = [await build.start(harness) for _ in range(3)]

    async def settle() -> None:
        assert await build.settle(harness, leases.pop(), Succeed()) is Settled.APPLIED

    assert await _woken(harness, _topics([lease.job.id for lease in leases]), settle)


@promise("wait.wakes")
async def test_an_ending_that_queues_the_job_again_ends_a_wait_for_its_queue(harness: Harness) -> None:
    leases = [await build.start(harness) for _ in range(3)]
    again = Retry(delay=seconds(0), failure=build.failure())

    async def settle() -> None:
        assert await build.settle(harness, leases.pop(), again) is Settled.APPLIED

    assert await _woken(harness, ("queue:default",), settle)


@promise("wait.wakes")
async def test_a_follow_up_ends_a_wait_for_its_queue(harness: Harness) -> None:
    leases = [await build.start(harness) for _ in range(3)]
    low = build.lane(queue="low")

    async def settle() -> None:
        assert await build.settle(harness, leases.pop(), Succeed(), build.new_job(lane=low)) is Settled.APPLIED

    assert await _woken(harness, ("queue:low",), settle)
