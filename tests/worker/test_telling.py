"""What a worker says of itself when it starts."""

from tests.worker.house import House
from tidegate.telemetry.events import WorkerStarted


async def _nothing() -> None:
    """Do nothing."""


async def test_a_worker_names_the_types_that_it_takes(house: House) -> None:
    house.job("mail", _nothing)
    await house.worker()
    [started] = house.events(WorkerStarted)
    assert started.types == tuple(sorted(house.runtime.registry.names))
    assert "mail" in started.types
