"""An open store: what every verb runs its statements through."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg
import msgspec

from tidegate.clock import Clock, SystemClock, dice
from tidegate.core.job import Lane
from tidegate.engines.bell import Bell
from tidegate.engines.sql.codec import stamp
from tidegate.engines.sql.postgres.address import Address
from tidegate.engines.sql.postgres.faults import DRIVER, TRY_AGAIN, told
from tidegate.engines.sql.postgres.hearing import Ear
from tidegate.engines.sql.postgres.pool import Connect, Connection, Pool

T = TypeVar("T")

NOW: Final = "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
"""The present in a statement whose first argument is `Store.now`."""

_SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
)

FLUSH: Final = "SELECT pg_logical_emit_message(true, 'tidegate', '')"
"""A commit that flushes all that anybody has committed before it."""

TRIES: Final = 10
"""How often a transaction that the server gave up for another is begun again."""

_PAUSE: Final = 0.005
"""Seconds before the second try at most; twice that before the third, and so on."""


class Store:
    """A store whose schema is there. Its calls may be made on any event loop: each loop has its own connections."""

    def __init__(self, address: Address, connect: Connect, clock: Clock | None, bell: Bell) -> None:
        self.address = address
        self.clock = clock or SystemClock()
        self.pid = os.getpid()
        self.kinds: dict[int, tuple[Lane, str]] = {}  # by line; filled as they are met, for they never change
        self.terms: dict[int, str] = {}  # by number, as above
        self.numbers = Numbers()
        self._ticks = clock is None
        self._connect = connect
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, _Kept] = {}
        self._ear = Ear(address, connect, bell, self._whisper)

    @property
    def now(self) -> int | None:
        """The present that a statement is given: None lets the server's clock decide, as it does outside of tests."""
        return None if self._ticks else stamp(self.clock.now())

    # statements -------------------------------------------------------------------------------------------

    async def fetch(self, sql: str, *arguments: object) -> "list[asyncpg.Record]":
        """The rows of one statement, which is a transaction by itself; raises EngineUnavailable."""
        text = self.address.sql(sql)
        return await self.run(lambda connection: connection.fetch(text, *arguments))

    async def rows(self, kind: type[T], sql: str, *arguments: object) -> list[T]:
        """The rows of one statement, as values."""
        return [msgspec.convert(tuple(row), kind) for row in await self.fetch(sql, *arguments)]

    async def run(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        """What `act` answers on a connection; it is begun again where the server gave it up for another."""
        for left in reversed(range(TRIES)):
            try:
                return await self._pool().use(act)
            except TRY_AGAIN as exc:
                if not left:
                    raise told(exc) from None
                await asyncio.sleep(dice() * _PAUSE * 2 ** (TRIES - 1 - left))
            except asyncpg.ForeignKeyViolationError as exc:
                self.numbers = Numbers()  # a failover or a restore has lost what they stand for
                raise told(exc) from None
            except asyncpg.ReadOnlySQLTransactionError as exc:
                self._pool().forget()  # the primary became a standby: find the new one
                raise told(exc) from None
            except DRIVER as exc:
                raise told(exc) from None
        raise AssertionError("the last try returned or raised")

    async def snapshot(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        """What `act` reads in one transaction, all of whose statements see the same instant and use indexes."""

        async def within(connection: Connection) -> T:
            await connection.execute(_SNAPSHOT)
            answer = await act(connection)  # where this fails, the pool drops the connection
            await connection.execute("COMMIT")
            return answer

        return await self.run(within)

    # hints ------------------------------------------------------------------------------------------------

    def ring(self, topics: Iterable[str]) -> None:
        """Wake who waits for one of `topics`: at once in this process, soon in others."""
        self._ear.ring(topics)

    def ring_here(self, topics: Iterable[str]) -> None:
        """Wake who waits for one of `topics` in this process, where others are told already."""
        self._ear.ring_here(topics)

    def hints(self, topics: set[str]) -> list[str]:
        """What NOTIFY is to tell other processes of `topics`."""
        return list(self._ear.messages(topics))

    async def _whisper(self, sql: str, *arguments: object) -> None:
        await self.fetch(sql, *arguments)

    # loops ------------------------------------------------------------------------------------------------

    def _pool(self) -> Pool:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        kept = self._pools.get(loop)
        if kept is None:
            kept = _Kept(Pool(self._connect, self.address.size, self.address.timeout.total_seconds()))
            with self._lock:
                for gone in [known for known in self._pools if known.is_closed()]:
                    self._pools.pop(gone).pool.abandon()
                self._pools[loop] = kept
            kept.task = loop.create_task(self._keep(loop, kept), name="tidegate-postgresql-pool")
        return kept.pool

    async def _keep(self, loop: asyncio.AbstractEventLoop, kept: "_Kept") -> None:
        """Hold the pool of a loop until the store closes, or the loop ends and cancels this."""
        with suppress(asyncio.CancelledError):
            await kept.over.wait()
        await kept.pool.close()
        with self._lock:
            self._pools.pop(loop, None)
        kept.closed.set_result(None)

    async def open(self) -> None:
        """Connect, and begin to hear from other processes."""
        await self.run(lambda connection: connection.execute("SELECT 1"))
        self._ear.open()

    async def close(self) -> None:
        """Finish what is under way on every loop, then let go of all connections."""
        await self._ear.close()
        with self._lock:
            kept = dict(self._pools)
        running: list[asyncio.Future[None]] = []
        for loop, one in kept.items():
            if loop.is_running():
                loop.call_soon_threadsafe(one.over.set)
                running.append(asyncio.wrap_future(one.closed))
            else:
                one.pool.abandon()
        if running:
            await asyncio.wait(running, timeout=self.address.timeout.total_seconds())


class Numbers:
    """What lines and terms are called in statements, as far as this process has met them."""

    def __init__(self) -> None:
        self.lines: dict[tuple[Lane, str], int] = {}
        self.terms: dict[str, int] = {}


class _Kept:
    """One loop's pool, and when it may go."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.over = asyncio.Event()
        self.closed: Future[None] = Future()
        self.task: asyncio.Task[None] | None = None
