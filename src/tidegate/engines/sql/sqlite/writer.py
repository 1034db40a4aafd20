"""The one thread that writes: it takes all calls that wait, runs them in one transaction, and commits once.

A call that comes alone is committed at once; under load the calls that arrive during one commit share the
next, so that the price of a sync is split among them. Nobody is answered before COMMIT has returned.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from tidegate.engines.bell import Bell
from tidegate.engines.sql.sqlite.present import Present
from tidegate.engines.sql.sqlite.session import Session
from tidegate.errors import EngineUnavailable, InvalidInput, TidegateError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Act: TypeAlias = Callable[[Session], T]
"""What one call does in the transaction. It raises a TidegateError only before it has changed anything."""

MOST_CALLS: Final = 256
"""Calls in one transaction at most."""

IDLE: Final = 1.0
"""Seconds without a call after which the log is moved into the store."""

CHECKPOINT_EVERY: Final = 40_000
"""Rows changed between two checkpoints under load: 10,000 jobs or so, and some 20 MB of log."""

LONGEST_LOG: Final = 32_768
"""Pages in the log, 128 MB, after which the writer waits a moment for readers, so that it starts over."""


class _Call(Generic[T_co]):
    """One call, from any loop; its future is the loop's own."""

    def __init__(self, act: Act[T_co], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[T_co] = loop.create_future()
        self._act = act
        self._tell: Callable[[], object] = self.future.cancel

    def run(self, session: Session) -> None:
        """Do it, and remember the answer or the refusal; raises whatever else goes wrong."""
        before = session.connection.total_changes
        try:
            self._tell = partial(self.future.set_result, self._act(session))
        except TidegateError as exc:
            if session.connection.total_changes != before:
                raise
            self.fail(exc)

    def fail(self, exc: Exception) -> None:
        """Remember that it failed."""
        self._tell = partial(self.future.set_exception, exc)

    def tell(self) -> None:
        """Resolve the future, on its loop; a caller that went away has cancelled it, and only it."""
        if not self.future.done():
            self._tell()


class Writer:
    """The writer's thread and queue; `session` is its own from `start` to the end of `close`."""

    def __init__(self, session: Session, present: Present, bell: Bell) -> None:
        self._session = session
        self._present = present
        self._bell = bell
        self._calls: queue.SimpleQueue[_Call[object] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._shut: str | None = None
        self._stale = False
        self._stopping = False
        self._under_way: Sequence[_Call[object]] = ()
        self._checkpointed = session.connection.total_changes
        self._thread = threading.Thread(target=self._live, name="tidegate-writer", daemon=True)

    def start(self) -> None:
        """Begin to take calls."""
        self._thread.start()

    async def do(self, act: Act[T]) -> T:
        """What `act` answers, once it is committed.

        Raises EngineUnavailable when that failed or is not known. Cancelling this wait changes nothing else.
        """
        call = _Call(act, asyncio.get_running_loop())
        with self._gate:
            if self._shut is not None:
                raise EngineUnavailable(self._shut)
            self._calls.put(call)
        return await call.future

    def close(self) -> None:
        """Finish the calls that are under way, then close the connection."""
        with self._gate:
            self._shut = self._shut or "this store was closed"
            self._calls.put(None)
        self._thread.join()

    # the thread -------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            while not self._stopping:
                calls = self._gather()
                if calls:
                    self._commit(calls)
                self._checkpoint(idle=not calls)
        finally:
            self._die()

    def _gather(self) -> list["_Call[object]"]:
        """Wait for a call, and take those that came with it; none when it stays quiet, or is to stop."""
        changed = self._session.connection.total_changes != self._checkpointed
        try:
            call = self._calls.get(timeout=IDLE if changed else None)
        except queue.Empty:
            return []
        calls: list[_Call[object]] = []
        while call is not None:
            calls.append(call)
            if len(calls) == MOST_CALLS or self._calls.empty():
                return calls
            call = self._calls.get()
        self._stopping = True
        return calls

    def _commit(self, calls: Sequence["_Call[object]"]) -> None:
        """Commit all together; if that fails, each alone, so that each has only its own fate."""
        self._under_way = calls
        touched = self._try(calls)
        if touched is None and len(calls) > 1:
            alone = [self._try([call]) for call in calls]
            touched = set().union(*(topics for topics in alone if topics is not None))
        self._tell(calls)
        self._under_way = ()
        with suppress(RuntimeError):  # a waiter's loop was closed this moment
            self._bell.ring(touched or ())

    def _try(self, calls: Sequence["_Call[object]"]) -> set[str] | None:
        """The topics to ring for; None when nothing was committed, and then each call knows why."""
        session = self._session
        try:
            session.connection.execute("BEGIN IMMEDIATE")
            if self._stale:
                session.ledger.load()
                self._stale = False
            session.touched = set()
            for call in calls:
                session.now = self._present.advance()
                call.run(session)
            session.save()
            session.connection.execute("COMMIT")
        except Exception as exc:
            self._roll_back()
            for call in calls:
                call.fail(_fault(exc))
            return None
        return session.touched

    def _roll_back(self) -> None:
        self._stale = True
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself, or will when the store is opened again
            self._session.connection.execute("ROLLBACK")

    def _tell(self, calls: Sequence["_Call[object]"]) -> None:
        """Resolve the futures, with one wake-up a loop."""
        loops: dict[asyncio.AbstractEventLoop, list[_Call[object]]] = {}
        for call in calls:
            loops.setdefault(call.loop, []).append(call)
        for loop, mine in loops.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell_all, mine)

    def _checkpoint(self, *, idle: bool) -> None:
        """Move the log into the store when there is time, or when it has grown long."""
        connection = self._session.connection
        changed = connection.total_changes - self._checkpointed
        if changed and (idle or changed >= CHECKPOINT_EVERY):
            self._checkpointed = connection.total_changes
            with suppress(sqlite3.Error):  # a full disk: the log stays, and the next commit says so
                ((_, pages, _),) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if pages > LONGEST_LOG:
                    connection.execute("PRAGMA busy_timeout = 200").fetchall()
                    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                    connection.execute("PRAGMA busy_timeout = 5000").fetchall()

    def _die(self) -> None:
        """Nobody will take calls any more: answer those that still wait, and close."""
        with self._gate:
            self._shut = self._shut or "the thread that writes to this store has ended: restart the process"
            left = [*self._under_way]
            while not self._calls.empty():
                call = self._calls.get()
                left += [] if call is None else [call]
        for call in left:
            call.fail(EngineUnavailable(self._shut))
        self._tell(left)
        self._session.connection.close()


def _tell_all(calls: Sequence["_Call[object]"]) -> None:
    for call in calls:
        call.tell()


def _fault(exc: Exception) -> Exception:
    """What the caller is told; a defect of this package stays what it is."""
    match exc:
        case TidegateError():
            return exc
        case sqlite3.IntegrityError() | sqlite3.DataError() | sqlite3.InterfaceError() | sqlite3.ProgrammingError():
            refusal: Exception = InvalidInput("", f"the store refuses a value ({exc})")
        case UnicodeError() | OverflowError():
            refusal = InvalidInput("", f"a value can't be stored ({exc})")
        case sqlite3.Error():
            refusal = EngineUnavailable(f"the store failed ({exc}): nothing was changed; try again")
        case _:
            return exc
    refusal.__cause__ = exc
    return refusal
