"""Endings share engine calls, and none is held up or spoilt by another."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest

from tests.worker.house import eventually, soon
from tidegate.batching import MOST
from tidegate.clock import FakeClock
from tidegate.core.job import Ending, JobId, Succeed, Token
from tidegate.core.verbs import Settled
from tidegate.engines.memory import MemoryEngine
from tidegate.telemetry.events import Emitter
from tidegate.worker.outage import Outage
from tidegate.worker.settling import Settler

_numbers = count(1)


class Store(MemoryEngine):
    """Takes every ending, when it is let; but not the one of `poison`."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison = JobId("")

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        self.sizes.append(len(endings))
        await self.open.wait()
        if any(ending.job_id == self.poison for ending in endings):
            raise ValueError("no column holds that")
        return [Settled.APPLIED] * len(endings)


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def settler(store: Store) -> Settler:
    return Settler(store, Outage(Emitter(), FakeClock()))


def _ending() -> Ending:
    number = next(_numbers)
    return Ending(job_id=JobId(f"job-{number}"), token=Token(f"token-{number}"), settlement=Succeed())


async def test_endings_of_one_moment_share_a_call(store: Store, settler: Settler) -> None:
    answers = await asyncio.gather(*(settler.settle(_ending()) for _ in range(50)))

    assert set(answers) == {Settled.APPLIED}
    assert store.sizes == [50]


async def test_endings_that_come_during_a_call_share_the_next(store: Store, settler: Settler) -> None:
    store.open.clear()
    first = asyncio.create_task(settler.settle(_ending()))
    await eventually(lambda: bool(store.sizes))
    others = [asyncio.create_task(settler.settle(_ending())) for _ in range(20)]
    await asyncio.sleep(0)
    store.open.set()
    await soon(asyncio.gather(first, *others))

    assert store.sizes == [1, 20]


async def test_no_call_is_larger_than_a_batch(store: Store, settler: Settler) -> None:
    await asyncio.gather(*(settler.settle(_ending()) for _ in range(MOST + 1)))

    assert store.sizes == [MOST, 1]


async def test_an_ending_that_the_engine_cannot_take_does_not_spoil_the_others(store: Store, settler: Settler) -> None:
    endings = [_ending() for _ in range(5)]
    store.poison = endings[2].job_id

    answers = await asyncio.gather(*(settler.settle(ending) for ending in endings), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Settled, Settled, ValueError, Settled, Settled]
    assert await soon(settler.settle(_ending())) is Settled.APPLIED


async def test_a_run_that_no_longer_waits_does_not_stop_the_others(store: Store, settler: Settler) -> None:
    store.open.clear()
    store.poison = JobId("job-x")
    gone = asyncio.create_task(settler.settle(Ending(job_id=store.poison, token=Token("x"), settlement=Succeed())))
    stays = asyncio.create_task(settler.settle(_ending()))
    await eventually(lambda: bool(store.sizes))
    gone.cancel()
    store.open.set()

    assert await soon(stays) is Settled.APPLIED
    assert await soon(settler.settle(_ending())) is Settled.APPLIED
