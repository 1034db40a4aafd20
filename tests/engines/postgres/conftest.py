"""PostgreSQL stores for the tests of what this engine alone promises."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conformance.harness import Harness
from tests.conformance.postgres_store import postgres
from tests.servers.postgres import PostgresServer, new_database, running, shared


@pytest.fixture
async def database() -> str:
    """The URL of a new, empty database on the server that all tests share."""
    return await new_database(shared())


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """An open store whose clock the test moves."""
    async with postgres(tmp_path) as fresh:
        yield fresh


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be stopped, frozen and started again; what it says is on the disk stays there."""
    with running(settings=()) as own:
        yield own
