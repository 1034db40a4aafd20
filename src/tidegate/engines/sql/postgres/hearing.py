"""Hints between processes: NOTIFY after a commit, LISTEN on a connection of its own.

A NOTIFY takes a lock on the whole server while it commits, so it never stands in a transaction whose commit waits
for a flush: topics are gathered, and told in a statement of their own, at most one each `PAUSE`. Only submit tells
of its jobs itself. A hint may be lost; polling is the truth.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.clock import token
from tidegate.engines.bell import Bell
from tidegate.engines.sql.postgres.address import Address
from tidegate.engines.sql.postgres.faults import DRIVER
from tidegate.engines.sql.postgres.pool import FAREWELL, Connect, Connection, end, hang_up
from tidegate.errors import TidegateError

PAUSE: Final = 0.002
"""Seconds between two NOTIFY of one process: a job that comes alone is told of at once."""

PAUSE_FOR_JOBS: Final = 0.05
"""The same while nothing but ends of jobs is to be told: whoever waits for one is no worker in a hurry."""

MOST_JOBS: Final = 100
"""Jobs whose end is told at a time; who waits for another finds it when he asks."""

_PAYLOAD: Final = 7_000
"""Bytes of topics in one message; the server takes 8,000 in all."""

_PROBE: Final = timedelta(seconds=30)
"""How often a silent connection is asked whether it still lives."""

_RETRY: Final = timedelta(seconds=1)

_NOTIFY: Final = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, message) FROM unnest($2::text[]) AS message
"""
"""In its own transaction, and without a flush: a hint need not survive anything."""

_message: Final = msgspec.json.Decoder(tuple[str, ...])


class Ear:
    """Rings `bell` for what this process did and for what others tell; tells others what this one did."""

    def __init__(self, address: Address, connect: Connect, bell: Bell, whisper: Callable[..., Awaitable[None]]) -> None:
        self._address = address
        self._connect = connect
        self._bell = bell
        self._whisper = whisper
        self._name = token()
        self._lock = threading.Lock()
        self._untold: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._line: Connection | None = None

    def open(self) -> None:
        """Begin to listen and to tell, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._news, self._pressed = asyncio.Event(), asyncio.Event()
        works = [self._tell()] if self._address.pooled else [self._tell(), self._listen()]
        self._tasks = [self._loop.create_task(work, name="tidegate-postgresql-hints") for work in works]

    async def close(self) -> None:
        """Stop both; what is still to be told is told."""
        tasks, self._tasks = self._tasks, []
        loop, self._loop = self._loop, None
        if loop is asyncio.get_running_loop():
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        elif loop is not None and loop.is_running():
            for task in tasks:
                loop.call_soon_threadsafe(task.cancel)
        elif self._line is not None:
            hang_up(self._line)
        if self._untold:
            await self._tell_once()

    def ring_here(self, topics: Iterable[str]) -> None:
        """Something happened to `topics` of which others have been told."""
        self._bell.ring(topics)

    def ring(self, topics: Iterable[str]) -> None:
        """Something happened to `topics`."""
        mine = set(topics)
        loop = self._loop
        if not mine:
            return
        self._bell.ring(mine)
        if loop is None or loop.is_closed():
            return
        pressing = any(topic.startswith("queue:") for topic in mine)
        with self._lock:
            first = not self._untold
            self._untold |= mine
        if first:
            loop.call_soon_threadsafe(self._news.set)
        if pressing:
            loop.call_soon_threadsafe(self._pressed.set)

    # telling ----------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._patience()
            await self._tell_once()
            await asyncio.sleep(PAUSE)

    async def _tell_once(self) -> None:
        with self._lock:
            topics, self._untold = self._untold, set()
        with suppress(TidegateError):  # a lost hint: whoever waited for it finds out when he polls
            await self._whisper(_NOTIFY, self._address.schema, list(self.messages(topics)))

    async def _patience(self) -> None:
        """Wait for more to tell, while it is no queue."""
        with self._lock:
            self._pressed.clear()
            if any(topic.startswith("queue:") for topic in self._untold):
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_FOR_JOBS):
                await self._pressed.wait()

    def messages(self, topics: set[str]) -> Iterator[str]:
        """What others are told of `topics`; one that no message holds they find out when they poll."""
        jobs = sorted(topic for topic in topics if topic.startswith("job:"))[:MOST_JOBS]
        message, length = [self._name], 0
        for topic in (*sorted(topic for topic in topics if topic.startswith("queue:")), *jobs):
            size = _size(topic)
            if size > _PAYLOAD:
                continue
            if length + size > _PAYLOAD:
                yield msgspec.json.encode(message).decode()
                message, length = [self._name], 0
            message.append(topic)
            length += size
        if len(message) > 1:
            yield msgspec.json.encode(message).decode()

    # listening --------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                self._line = connection = await self._connect()
                try:
                    await self._hear(connection)
                finally:
                    end(connection)
            except DRIVER:
                pass  # meanwhile everybody polls
            await asyncio.sleep(_RETRY.total_seconds())

    async def _hear(self, connection: Connection) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(self._address.schema, self._heard)
        self._bell.ring_all()  # nobody heard what was told before
        while not lost.is_set():
            try:
                async with asyncio.timeout(_PROBE.total_seconds()):
                    await lost.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=FAREWELL)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            teller, *topics = _message.decode(str(payload))
        except (msgspec.DecodeError, ValueError):
            return  # not one of ours
        if teller != self._name:
            self._bell.ring(topics)


def _size(topic: str) -> int:
    """The bytes that a topic takes in a message."""
    try:
        return len(msgspec.json.encode(topic)) + 1
    except UnicodeEncodeError:
        return _PAYLOAD + 1  # no text: the store refuses what it belongs to
