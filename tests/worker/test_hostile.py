"""Whatever a handler does, its worker lives, and the next job runs. See `test_processes` for `cpu=True`."""

import pytest

from tests.worker.hostile import DEEDS
from tests.worker.house import House, on_sqlite
from tidegate.core.job import Status
from tidegate.handlers import Handler


@on_sqlite
@pytest.mark.parametrize("handler", DEEDS, ids=lambda handler: handler.__name__)
async def test_a_worker_outlives_a_handler_that(house: House, handler: Handler) -> None:
    async def normal() -> str:
        return "fine"

    house.job("hostile", handler)
    house.job("normal", normal)
    worker = await house.worker()

    job = await house.ended(await house.submit("hostile", max_attempts=1))
    after = await house.ended(await house.submit("normal"))

    assert (job.status, job.counters.runs) == (DEEDS[handler], 1), job.error
    assert (after.status, await house.result(after.id)) == (Status.SUCCEEDED, b'"fine"')
    assert worker.running == 0
