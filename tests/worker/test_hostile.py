"""Whatever a handler does, its worker lives, and the next job runs. See `test_processes` for `cpu=True`."""

import pytest

from tests.worker import hostile, hostile_threads
from tests.worker.house import House, on_sqlite
from tidegate.core.job import Status
from tidegate.handlers import Handler


@on_sqlite
@pytest.mark.parametrize(
    ("handler", "comes_to"),
    [
        *(pytest.param(deed, end, id=deed.__name__) for deed, end in hostile.DEEDS.items()),
        *(pytest.param(deed, end, id=f"{deed.__name__}_in_a_thread") for deed, end in hostile_threads.DEEDS.items()),
    ],
)
async def test_a_worker_outlives_a_handler_that(house: House, handler: Handler, comes_to: Status) -> None:
    async def normal() -> str:
        return "fine"

    house.job("hostile", handler)
    house.job("normal", normal)
    worker = await house.worker()

    job = await house.ended(await house.submit("hostile", max_attempts=1))
    after = await house.ended(await house.submit("normal"))

    assert (job.status, job.counters.runs) == (comes_to, 1), job.error
    assert (after.status, await house.result(after.id)) == (Status.SUCCEEDED, b'"fine"')
    assert worker.running == 0
