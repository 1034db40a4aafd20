"""PostgreSQL under test: a database for each store that is open at a time, emptied between tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import asyncpg

from tests.conformance.harness import Harness
from tests.servers.postgres import new_database, shared
from tidegate.clock import FakeClock
from tidegate.engines.sql.postgres.engine import PostgresEngine
from tidegate.ports import Engine

_free: Final[list[str]] = []
"""The URLs of databases that nobody uses, empty and migrated."""

_urls: "Final[WeakKeyDictionary[Engine, str]]" = WeakKeyDictionary()

_KEPT: Final = ("alembic_version", "versions")
_TABLES: Final = "SELECT relname FROM pg_class WHERE relnamespace = 'tidegate'::regnamespace AND relkind = 'r'"


@asynccontextmanager
async def postgres(_path: Path) -> AsyncIterator[Harness]:
    """A store of its own on the server that this test process shares."""
    async with opened() as harness:
        yield harness


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URL of an empty database that nobody else uses."""
    url = _free.pop() if _free else await new_database(shared())
    yield url
    await _empty(url)
    _free.append(url)


@asynccontextmanager
async def opened(reached: Callable[[str], str] = str) -> AsyncIterator[Harness]:
    """The same, where `reached` says by which URL the engine gets to the one it is given."""
    async with database() as given:
        clock, url = FakeClock(), reached(given)

        @asynccontextmanager
        async def other() -> AsyncIterator[Engine]:
            async with PostgresEngine(url, clock) as second:
                yield second

        async with PostgresEngine(url, clock) as engine:
            _urls[engine] = url
            yield Harness("postgres", engine, clock, other)


def database_of(harness: Harness) -> str:
    """The URL of the database that a store is in."""
    return _urls[harness.engine]


async def _empty(url: str) -> None:
    """Deleting a few rows takes a fraction of what TRUNCATE does."""
    connection = await asyncpg.connect(url)
    try:
        tables = [row["relname"] for row in await connection.fetch(_TABLES) if row["relname"] not in _KEPT]
        deletes = (f"DELETE FROM tidegate.{table}" for table in tables)
        await connection.execute("; ".join((*deletes, "UPDATE tidegate.versions SET last = 0")))
    finally:
        await connection.close()
