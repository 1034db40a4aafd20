"""Reading: a few connections in threads of their own, each call on one snapshot, bounded."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tidegate.core.job import Job, Lane
from tidegate.engines.sql.codec import JobRow, Kinds, read_job, read_tags
from tidegate.engines.sql.sqlite import connecting
from tidegate.engines.sql.sqlite.snapshot import Snapshot
from tidegate.errors import EngineUnavailable

T = TypeVar("T")

THREADS: Final = 2
"""Enough that a slow page does not keep a `get` waiting; more only compete for the interpreter."""

_KINDS: Final = """
SELECT json_group_array(json_array(lines.id, lanes.queue, lanes.upstream, lanes.parents, lines.type))
FROM lines CROSS JOIN lanes ON lanes.id = lines.lane_id WHERE lines.id > ?
"""
_kinds: Final = msgspec.json.Decoder(list[tuple[int, str, str | None, str, str]])


class Reader(Snapshot):
    """A read connection inside a snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._kinds: dict[int, tuple[Lane, str]] = {}

    def jobs(self, rows: Sequence[JobRow]) -> list[Job]:
        """The jobs of some rows; a line that is new is looked up, for lines never change."""
        known = self._kinds
        if any(row.line_id not in known or row.first_line_id not in known for row in rows):
            self.kinds()
        return [read_job(row, self._kinds) for row in rows]

    def kinds(self) -> Kinds:
        """The lane and type of every line there is now; they are numbered without a gap and never change."""
        for number, queue, upstream, parents, type_ in self.read(_kinds, _KINDS, len(self._kinds)):
            self._kinds[number] = (Lane(queue=queue, upstream=upstream, parents=read_tags(parents)), type_)
        return self._kinds


class Readers:
    """The pool. Connections are opened by their threads at first need, and closed by `close`."""

    def __init__(self, path: Path, present: Callable[[], int]) -> None:
        self._path = path
        self._present = present
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tidegate-reader")
        self._mine = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def read(self, act: Callable[[Reader], T]) -> T:
        """What `act` reads in one snapshot; raises EngineUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, act)

    def _read(self, act: Callable[[Reader], T]) -> T:
        try:
            reader = self._reader()
            reader.connection.execute("BEGIN")
            try:
                reader.now = self._present()
                return act(reader)
            finally:
                reader.connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise EngineUnavailable(f"the store can't be read ({exc}): try again") from exc

    def _reader(self) -> Reader:
        reader: Reader | None = getattr(self._mine, "reader", None)
        if reader is None:
            connection = connecting.connect_reader(self._path)
            self._connections.append(connection)
            reader = self._mine.reader = Reader(connection)
        return reader

    def close(self) -> None:
        """Finish what is being read, then close."""
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
