"""Measuring leaves a server as it was."""

import subprocess
import sys

import pytest

from bench.jobs import fresh, job
from bench.stores import empty
from tests.engines.redis.stores import keyspace
from tests.servers.postgres import execute, new_database, shared
from tests.servers.valkey import valkey
from tidegate.core.query import JobQuery
from tidegate.engines import open_engine
from tidegate.errors import ConfigError


async def _measured_beside_a_live_store(url: str) -> None:
    async with open_engine(url) as live:
        await live.submit([job()])
        async with fresh(url) as engine:
            assert (await engine.find(JobQuery())).jobs == ()
            await engine.submit([job(), job()])
        assert len((await live.find(JobQuery())).jobs) == 1


async def test_a_measurement_on_redis_sees_an_empty_store_and_leaves_nothing_but_the_live_one() -> None:
    with valkey() as server:
        await _measured_beside_a_live_store(server.url())
        async with keyspace(server) as keys:
            found = await keys.keys()
    assert found
    assert all(key.startswith("tg:{tidegate}:") for key in found)


async def test_a_measurement_on_postgresql_sees_an_empty_store_and_leaves_nothing_but_the_live_one() -> None:
    url = await new_database(shared())
    await _measured_beside_a_live_store(url)
    [schemas] = await execute(url, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'bench%'")
    assert int(schemas[0]) == 0


async def test_a_namespace_of_the_user_s_is_not_measured_in() -> None:
    with pytest.raises(ConfigError, match="leave \\?namespace= out"):
        async with empty("redis://h?namespace=live"):
            pass


@pytest.mark.parametrize("module", ["bench", "bench.peers"])
def test_a_part_that_does_not_exist_is_an_error(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "nonsense"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "there is no part 'nonsense': choose from" in ended.stderr
