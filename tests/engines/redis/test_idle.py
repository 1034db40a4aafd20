"""An idle worker leaves the server alone."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engines.redis.proxy import proxied
from tests.engines.redis.stores import fresh_url
from tests.servers.valkey import Valkey
from tests.worker.house import open_house
from tidegate.context import Context
from tidegate.worker.runtime import WorkerSettings

POLL, HEARTBEAT = 1, 5


async def nothing(payload: object, ctx: Context) -> None:
    """A handler."""


@pytest.mark.slow
async def test_an_idle_worker_sends_one_command_a_poll_and_one_a_heartbeat_and_starts_a_new_job_at_once(
    server: Valkey, tmp_path: Path
) -> None:
    async with proxied(server.port) as proxy:
        url = fresh_url(server).replace(f":{server.port}/", f":{proxy.port}/")
        async with open_house(tmp_path, url) as house:
            house.job("nothing", nothing)
            await house.worker(WorkerSettings(poll=timedelta(seconds=POLL), renew_every=timedelta(seconds=HEARTBEAT)))
            await asyncio.sleep(2)  # it says hello, looks for the dead and sweeps
            before = proxy.commands
            await asyncio.sleep(9)
            assert proxy.commands - before <= 9 + 1
            job_id = await house.submit("nothing")
            await house.ended(job_id, within=0.5)
