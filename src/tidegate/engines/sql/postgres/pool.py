"""The connections of one event loop.

asyncpg's own pool asks the server for a reset at each release, a round trip that a store which keeps no session
state needs not; and a connection that did not answer in time must not be waited for again. So here it is dropped.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

import asyncpg

from tidegate.errors import EngineUnavailable

T = TypeVar("T")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect: TypeAlias = Callable[[], Awaitable[Connection]]

_MOMENT: Final = 0.002

FAREWELL: Final = 2.0
"""Seconds that a server has to hear that a connection ends."""


class Pool:
    """At most `size` connections; each call has `seconds` from asking for a connection to its answer."""

    def __init__(self, connect: Connect, size: int, seconds: float) -> None:
        self._connect = connect
        self._size = size
        self._seconds = seconds
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def use(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        """What `act` answers on a connection that nobody else uses; raises what the driver raises."""
        self._under_way += 1
        self._quiet.clear()
        try:
            return await self._use(act)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def _use(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        connection = await self._take()
        late = asyncio.get_running_loop().call_later(self._seconds, self._drop, connection)
        try:
            answer = await act(connection)
        except asyncpg.PostgresError:
            raise  # an answer as well: the connection is as good as before
        except BaseException:
            connection.terminate()
            raise
        finally:
            late.cancel()
            self._give(connection)
        return answer

    async def _take(self) -> Connection:
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise EngineUnavailable(f"all {self._size} connections to the store are busy: try again") from None
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._free.release()
            raise

    def _give(self, connection: Connection) -> None:
        if not connection.is_closed():
            if connection.is_in_transaction():
                connection.terminate()
            else:
                self._idle.append(connection)
        self._free.release()

    def _drop(self, late: Connection) -> None:
        """Give up a connection that does not answer, and those that would not either."""
        late.terminate()
        self.forget()

    def forget(self) -> None:
        """Drop all that is idle: the server behind it may be another by now."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    def abandon(self) -> None:
        """Drop all that is idle, from outside of a loop that runs no more."""
        idle, self._idle = self._idle, []
        for connection in idle:
            hang_up(connection)

    async def close(self) -> None:
        """Wait for what is under way, then say goodbye. Between two statements of a verb it is quiet for a moment."""
        with suppress(TimeoutError):  # their own time is over, too
            async with asyncio.timeout(self._seconds):
                for _ in range(3):
                    await self._quiet.wait()
                    await asyncio.sleep(_MOMENT)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_close(connection) for connection in idle))


def end(connection: Connection) -> None:
    """Drop a connection, whether its loop still runs or not."""
    try:
        connection.terminate()
    except RuntimeError:
        hang_up(connection)


def hang_up(connection: Connection) -> None:
    """Let the server end the session of a connection whose loop runs no more: the driver can't without it."""
    transport: asyncio.BaseTransport | None = getattr(connection, "_transport", None)
    if transport is not None:
        with suppress(OSError):
            transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=FAREWELL)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()
