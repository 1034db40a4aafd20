"""What the conformance suite asks of a store under test: fresh, private, its clock in the test's hand."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tidegate.clock import FakeClock
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.sql.sqlite import connecting
from tidegate.engines.sql.sqlite.engine import SqliteEngine
from tidegate.engines.sql.sqlite.migrating import migrate
from tidegate.ports import Engine


@dataclass(frozen=True, slots=True)
class Harness:
    """One store: `engine` to drive, `clock` to move.

    `other` opens a second client on the same store, where the engine has such a thing; for engines that
    live in one process it is the same engine again. `by_given_ranks` says which reading of a flow's last rank
    the store follows, see `core.fairness`.
    """

    name: str
    engine: Engine
    clock: FakeClock
    other: Callable[[], AbstractAsyncContextManager[Engine]]
    by_given_ranks: bool = False

    def advance(self, seconds: float) -> None:
        """Let time pass in the store."""
        self.clock.advance(timedelta(seconds=seconds))


@asynccontextmanager
async def memory(path: Path) -> AsyncIterator[Harness]:
    """The executable specification itself."""
    clock = FakeClock()
    async with MemoryEngine(clock) as engine:

        @asynccontextmanager
        async def other() -> AsyncIterator[Engine]:
            yield engine

        yield Harness("memory", engine, clock, other)


@lru_cache(maxsize=1)
def migrated() -> bytes:
    """An empty SQLite store at the newest schema: migrating one for each test would take most of the time."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        connecting.create(path)
        migrate(path)
        return path.read_bytes()


@asynccontextmanager
async def sqlite(path: Path) -> AsyncIterator[Harness]:
    """The embedded store, on a file below `path`."""
    clock, store = FakeClock(), path / "jobs.db"
    store.write_bytes(migrated())
    async with SqliteEngine(store, clock) as engine:

        @asynccontextmanager
        async def other() -> AsyncIterator[Engine]:
            yield engine

        yield Harness("sqlite", engine, clock, other)


def valkey(path: Path) -> AbstractAsyncContextManager[Harness]:
    """A namespace of a Redis or Valkey server."""
    from tests.conformance.valkey_store import store

    return store(path)


def postgres(path: Path) -> AbstractAsyncContextManager[Harness]:
    """A database of a PostgreSQL server."""
    from tests.conformance.postgres_store import postgres as store

    return store(path)


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Harness]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "valkey": valkey,
    "postgres": postgres,
}
"""Every engine there is. None may skip, subclass or override a clause."""


def promises() -> frozenset[str]:
    """The names of all promises in `ports.py`."""
    import tidegate.ports

    source = Path(tidegate.ports.__file__).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\s*\[([a-z]+(?:-[a-z]+)*\.[a-z-]+)\]", source, flags=re.MULTILINE))
