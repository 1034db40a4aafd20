"""What a worker that has nothing to do costs the server."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.servers.postgres import new_database, running
from tests.worker.house import open_house
from tidegate.worker.runtime import WorkerSettings

SECONDS: Final = 10


@pytest.mark.slow
async def test_an_idle_worker_polls_once_a_second_and_announces_itself_now_and_then(tmp_path: Path) -> None:
    with running(settings=("fsync=off", "log_statement=all")) as server:
        async with open_house(tmp_path, await new_database(server.address)) as house:
            await house.worker(WorkerSettings())
            await asyncio.sleep(2)
            since = len(server.log())
            await asyncio.sleep(SECONDS)
            asked = Counter(
                "claim" if "claim(" in line else "other" for line in server.log()[since:].split("LOG:  ")[1:]
            )
    assert asked["claim"] <= SECONDS + 1
    assert asked["other"] <= SECONDS / 4 + 1
