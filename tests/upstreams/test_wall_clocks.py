"""A pause lasts by the store's clock, whatever the wall clocks of the machines do meanwhile."""

from datetime import datetime, timedelta

import pytest

from tests.upstreams.shells import Process, Store, claim, submit
from tidegate.clock import FakeClock
from tidegate.core.upstream import Override
from tidegate.upstreams import QueueCircuits

HOUR = timedelta(hours=1)
PAUSE = timedelta(minutes=10)


class Wall(FakeClock):
    """The clock of a machine whose wall clock somebody sets; what it measures is not changed by that."""

    def __init__(self) -> None:
        super().__init__()
        self._set = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._set

    def jump(self, by: timedelta) -> None:
        """Set the wall clock."""
        self._set += by


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_timed_pause_ends_when_it_should_though_the_wall_clock_jumps_an_hour(jump: timedelta) -> None:
    clock, wall = FakeClock(), Wall()
    store = Store(clock)
    here = Process(store, wall)
    queues = QueueCircuits(here.health)
    ends = clock.now() + PAUSE
    assert (await queues.pause_queue("default", last=PAUSE)).resumes_at == ends
    await submit(store, "api")
    wall.jump(jump)
    assert (await queues.get_queue_circuit_status("default")).resumes_at == ends
    assert await claim(here) == ()
    for each in (clock, wall):
        each.advance(PAUSE - timedelta(seconds=1))
    assert await claim(here) == ()
    assert await queues.is_queue_paused("default")
    for each in (clock, wall):
        each.advance(timedelta(seconds=2))
    assert not await queues.is_queue_paused("default")
    assert len(await claim(here)) == 1


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_machine_whose_wall_clock_is_an_hour_off_pauses_for_as_long_as_asked(jump: timedelta) -> None:
    clock, wall = FakeClock(), Wall()
    wall.jump(jump)
    here = Process(Store(clock), wall)
    await here.health.override("upstream:api", Override.OPEN, author="ada", last=PAUSE)
    given = here.known("api").override
    assert given is not None
    assert given.until == clock.now() + PAUSE
