"""The SQLite engine: `ports.Engine` on one file."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Self, TypeVar

from tidegate.clock import Clock, SystemClock
from tidegate.core.job import Body, Ending, Job, JobId, NewJob, Owner
from tidegate.core.query import HistoryEntry, JobQuery, Page, Stats, WorkerInfo
from tidegate.core.verbs import (
    Beat,
    Cancellation,
    Claimed,
    ClaimRequest,
    Dismissal,
    Document,
    Feed,
    Health,
    Receipt,
    Reclaimed,
    ReclaimRequest,
    Renewal,
    Revival,
    Settled,
    Swap,
    Swapped,
    Take,
    Taken,
)
from tidegate.engines.bell import Bell
from tidegate.engines.sql.drafting import draft
from tidegate.engines.sql.revision import HEAD
from tidegate.engines.sql.sqlite import (
    administering,
    claiming,
    finding,
    limits,
    papers,
    presence,
    pruning,
    reading,
    reclaiming,
    renewing,
    settling,
    submitting,
)
from tidegate.engines.sql.sqlite.opening import Opened, open_store
from tidegate.engines.sql.sqlite.readers import Reader
from tidegate.engines.sql.sqlite.session import Session
from tidegate.errors import EngineUnavailable, InvalidInput

T = TypeVar("T")


_NOT_OPEN: Final = "this store is not open: enter the engine with `async with` first"


class SqliteEngine:
    """An `Engine` on the SQLite file `path`, made at need; `now` comes from `clock`."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._bell = Bell()
        self._opened: Opened | None = None

    async def __aenter__(self) -> Self:
        """Own and open the store, migrated to this release's schema.

        Raises StoreOwned, SchemaMismatch, ConfigError and EngineUnavailable.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(open_store, self._path, self._clock, self._bell))
        try:
            self._opened = await asyncio.shield(opening)
        except asyncio.CancelledError:  # the thread goes on, and would own the store for ever
            opening.add_done_callback(_close)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what is under way, then close and let go of the store."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await asyncio.to_thread(opened.close)

    def _store(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise EngineUnavailable(_NOT_OPEN)
        if os.getpid() != opened.pid:
            raise EngineUnavailable(f"this store was opened by process {opened.pid}: a forked child must open its own")
        return opened

    async def _write(self, act: Callable[[Session], T]) -> T:
        return await self._store().writer.do(act)

    async def _read(self, act: Callable[[Reader], T]) -> T:
        return await self._store().readers.read(act)

    async def check(self) -> Health:
        """Take a turn in the writer's thread, so that a store that can't write is not called well."""
        await self._write(lambda _: None)
        return Health(engine="sqlite", durability="fsync", version=sqlite3.sqlite_version, schema=HEAD)

    # queue ------------------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `ports.JobQueue.submit`."""
        drafts = [draft(job) for job in jobs]
        return await self._write(lambda session: submitting.submit(session, drafts)) if drafts else []

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """See `ports.JobQueue.known`."""
        return await self._read(lambda reader: reading.known(reader, keys)) if keys else []

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """See `ports.JobQueue.claim`."""
        return await self._write(lambda session: claiming.claim(session, request, nonce))

    async def renew(self, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
        """See `ports.JobQueue.renew`."""
        return await self._write(lambda session: renewing.renew(session, beats, lease_for)) if beats else []

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """See `ports.JobQueue.settle`."""
        for job in (job for ending in endings for job in ending.then):
            if job.spec.idempotency_key is not None:
                raise InvalidInput("then", "a follow-up job has no idempotency key: its ending is its key")
        then = [[draft(job) for job in ending.then] for ending in endings]
        return await self._write(lambda session: settling.settle(session, endings, then)) if endings else []

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """See `ports.JobQueue.reclaim`."""
        return await self._write(lambda session: reclaiming.reclaim(session, request, nonce))

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """See `ports.JobQueue.wait`."""
        await self._bell.wait(topics, timeout)

    # admin ------------------------------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
        """See `ports.JobAdmin.cancel`."""
        return await self._write(lambda session: administering.cancel(session, job_ids, nonce)) if job_ids else []

    async def revive(self, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
        """See `ports.JobAdmin.revive`."""
        return await self._write(lambda session: administering.revive(session, job_ids, nonce)) if job_ids else []

    async def dismiss(self, job_ids: Sequence[JobId]) -> list[Dismissal]:
        """See `ports.JobAdmin.dismiss`."""
        return await self._write(lambda session: administering.dismiss(session, job_ids)) if job_ids else []

    async def prune(self, limit: int) -> list[JobId]:
        """See `ports.JobAdmin.prune`; keys, nonces and grants are forgotten in lots, too."""
        return await self._write(lambda session: pruning.prune(session, limit))

    # reading ----------------------------------------------------------------------------------------------

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """See `ports.JobReader.get`."""
        return await self._read(lambda reader: reading.get(reader, job_ids)) if job_ids else []

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """See `ports.JobReader.bodies`."""
        return await self._read(lambda reader: reading.bodies(reader, job_ids)) if job_ids else []

    async def find(self, query: JobQuery) -> Page:
        """See `ports.JobReader.find`; `total` comes with the first page."""
        return await self._read(lambda reader: finding.find(reader, query))

    async def history(self, job_id: JobId, after: int = 0, limit: int = 200) -> list[HistoryEntry]:
        """See `ports.JobReader.history`."""
        return await self._read(lambda reader: reading.history(reader, job_id, after, limit))

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """See `ports.JobReader.events`."""
        return await self._read(lambda reader: reading.events(reader, after, limit))

    async def stats(self) -> Stats:
        """See `ports.JobReader.stats`."""
        return await self._read(reading.stats)

    # documents and presence -------------------------------------------------------------------------------

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        """See `ports.Documents.load`."""
        return await self._read(lambda reader: reading.load(reader, kind, keys)) if keys else []

    async def swap(self, swap: Swap) -> Swapped:
        """See `ports.Documents.swap`."""
        swapped = await self._write(lambda session: papers.swap(session, swap))
        self._bell.ring({"gates"} if swapped.won and swap.gates else ())
        return swapped

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        """See `ports.Documents.scan`."""
        return await self._read(lambda reader: reading.scan(reader, kind, after, limit))

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        """See `ports.Documents.take`."""
        return await self._write(lambda session: limits.take(session, takes, nonce)) if takes else []

    async def give_back(self, nonce: str) -> None:
        """See `ports.Documents.give_back`."""
        await self._write(lambda session: limits.give_back(session, nonce))

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """See `ports.Presence.announce`."""
        await self._write(lambda session: presence.announce(session, worker, live_for))

    async def workers(self) -> list[WorkerInfo]:
        """See `ports.Presence.workers`."""
        return await self._read(reading.workers)

    async def holders(self) -> list[Owner]:
        """See `ports.Presence.holders`."""
        return await self._read(reading.holders)


def _close(opening: "asyncio.Future[Opened]") -> None:
    """Close a store that was opened for nobody."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
